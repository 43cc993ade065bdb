// random_reads DEVICE READS JOBS: reads of 4 KiB at random places, one after the other in each of JOBS
// processes, past the page cache. For a guest without a C library: link it statically.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <linux/fs.h>

namespace {

constexpr std::size_t kBlock = 4096;

/// 0, or 1 when a read failed.
int read_blocks(const char* device, unsigned long reads, std::uint64_t seed) {
  const int fd = ::open(device, O_RDONLY | O_DIRECT | O_CLOEXEC);
  std::uint64_t bytes = 0;
  void* const block = std::aligned_alloc(kBlock, kBlock);
  if (fd < 0 || ::ioctl(fd, BLKGETSIZE64, &bytes) != 0 || bytes < kBlock || block == nullptr) return 1;
  for (unsigned long i = 0; i < reads; ++i) {
    seed = seed * 6364136223846793005 + 1442695040888963407;
    const std::uint64_t at = (seed >> 16) % (bytes / kBlock) * kBlock;
    if (::pread(fd, block, kBlock, static_cast<off_t>(at)) != static_cast<ssize_t>(kBlock)) return 1;
  }
  return 0;
}

}  // namespace

int main(int count, char** words) {
  if (count != 4) return 2;
  const unsigned long reads = std::strtoul(words[2], nullptr, 10);
  const unsigned long jobs = std::strtoul(words[3], nullptr, 10);
  const auto begin = std::chrono::steady_clock::now();
  for (unsigned long job = 0; job < jobs; ++job) {
    if (::fork() == 0) ::_exit(read_blocks(words[1], reads / jobs, job + 1));
  }
  int worst = 0;
  for (int status = 0; ::wait(&status) > 0;) worst |= status;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  if (worst != 0) return 1;
  std::printf("random-reads: jobs %lu rate %.0f\n", jobs, static_cast<double>(reads) / took.count());
  return 0;
}
