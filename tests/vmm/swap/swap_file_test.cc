// The swap file on this host's disk, and everything that can go wrong with it.
#include "vmm/swap/swap_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include "uvm/base/units.h"
#include "vmm/swap/aligned_bytes.h"

namespace vmm {
namespace swap_file_test {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using uvm::ErrorKind;
using uvm::kPageSize;
using uvm::SwapSlot;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

/// Pages that compress about as well as a guest's do.
std::vector<std::byte> some_pages(std::uint64_t count, unsigned seed) {
  std::vector<std::byte> bytes(count * kPageSize);
  std::mt19937 random(seed);
  for (std::size_t i = 0; i < bytes.size(); i += 8) bytes[i] = static_cast<std::byte>(random());
  return bytes;
}
/// Pages that do not compress.
std::vector<std::byte> noise(std::uint64_t count, unsigned seed) {
  std::vector<std::byte> bytes(count * kPageSize);
  std::mt19937 random(seed);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

class Directory {
 public:
  Directory() {
    std::string pattern = ::testing::TempDir() + "uvmm-swap-test-XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  ~Directory() {
    ::unlink(file().c_str());
    ::rmdir(path_.c_str());
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string file() const { return path_ + "/swap"; }

 private:
  std::string path_;
};

struct Variant {
  const char* name;
  IoEngine engine;
  SwapCompression compression;
};

class SwapFileTest : public ::testing::TestWithParam<Variant> {
 protected:
  [[nodiscard]] SwapSettings settings(std::string place, std::uint64_t bytes = 8 * kMiB) const {
    SwapSettings settings;
    settings.disk = {std::move(place), bytes, GetParam().engine};
    settings.compression = GetParam().compression;
    return settings;
  }
  [[nodiscard]] std::unique_ptr<SwapFile> make(const std::string& place,
                                               std::uint64_t bytes = 8 * kMiB) const {
    auto made = SwapFile::create(settings(place, bytes));
    EXPECT_TRUE(made) << made.error().text();
    return std::move(*made);
  }
  [[nodiscard]] bool packs() const { return GetParam().compression == SwapCompression::Zstd; }

  const Directory directory;
};

SwapSlot put(SwapFile& swap, std::span<const std::byte> bytes) {
  const auto slot = swap.write(bytes);
  EXPECT_TRUE(slot) << slot.error().text();
  return slot ? *slot : SwapSlot{};
}

void expect_read(SwapFile& swap, std::uint64_t slot, std::span<const std::byte> expected) {
  std::vector<std::byte> bytes(expected.size());
  const auto status = swap.read(SwapSlot{slot}, bytes);
  ASSERT_TRUE(status) << status.error().text();
  EXPECT_TRUE(std::ranges::equal(bytes, expected)) << "slot " << slot;
}

TEST_P(SwapFileTest, GivesBackWhatItGotWholeOrInParts) {
  const auto swap = make(directory.path());
  for (const std::uint64_t count : {1U, 2U, 15U, 16U, 17U, 100U, 512U}) {
    const auto pages = some_pages(count, 1);
    const SwapSlot first = put(*swap, pages);
    expect_read(*swap, first.number, pages);
    const std::span<const std::byte> middle(pages);
    expect_read(*swap, first.number + count / 2,
                middle.subspan(count / 2 * kPageSize, (count - count / 2) * kPageSize));
    expect_read(*swap, first.number + count - 1, middle.last(kPageSize));
    swap->free(first, count);
    EXPECT_EQ(swap->usage().used, 0U);
  }
  EXPECT_EQ(swap->usage().slots, 8 * kMiB / kPageSize);
}

TEST_P(SwapFileTest, TakesAlignedMemoryWithoutCopying) {
  const auto swap = make(directory.path());
  AlignedBytes aligned(64 * kPageSize);
  const auto pages = noise(64, 3);
  std::ranges::copy(pages, aligned.bytes().begin());
  const SwapSlot first = put(*swap, aligned.bytes());
  std::ranges::fill(aligned.bytes(), std::byte{0});
  ASSERT_TRUE(swap->read(first, aligned.bytes()));
  EXPECT_TRUE(std::ranges::equal(aligned.bytes(), pages));
}

TEST_P(SwapFileTest, AgreesWithAMapUnderRandomUse) {
  const auto swap = make(directory.path(), 4 * kMiB);
  std::map<std::uint64_t, std::vector<std::byte>> model;  // pages by slot
  std::mt19937 random(20011231);
  for (unsigned step = 0; step < 600; ++step) {
    const std::uint64_t count = 1 + random() % 40;
    if (random() % 3 != 0) {
      const auto pages = random() % 2 == 0 ? some_pages(count, step) : noise(count, step);
      const auto first = swap->write(pages);
      if (!first) {
        EXPECT_EQ(first.error().kind(), ErrorKind::NoMemory) << first.error().text();
        continue;
      }
      for (std::uint64_t i = 0; i < count; ++i) {
        const auto page = std::span(pages).subspan(i * kPageSize, kPageSize);
        ASSERT_TRUE(model.emplace(first->number + i, std::vector(page.begin(), page.end())).second);
      }
    } else {
      for (std::uint64_t i = 0; i < 2 * count && !model.empty(); ++i) {
        auto victim = model.lower_bound(random() % (model.rbegin()->first + 1));
        expect_read(*swap, victim->first, victim->second);
        swap->free(SwapSlot{victim->first}, 1);
        model.erase(victim);
      }
    }
  }
  for (const auto& [slot, page] : model) expect_read(*swap, slot, page);
  for (const auto& [slot, page] : model) swap->free(SwapSlot{slot}, 1);
  EXPECT_EQ(swap->usage().used, 0U);
}

TEST_P(SwapFileTest, ServesManyThreads) {
  const auto swap = make(directory.path(), 64 * kMiB);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (unsigned i = 0; i < 40; ++i) {
        const auto pages = some_pages(1 + (t + i) % 33, t * 100 + i);
        const SwapSlot first = put(*swap, pages);
        expect_read(*swap, first.number, pages);
        swap->free(first, pages.size() / kPageSize);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(swap->usage().used, 0U);
}

TEST_P(SwapFileTest, FullNamesTheSizeAndTheOption) {
  const auto swap = make(directory.path(), kMiB);
  const auto pages = noise(192, 1);
  const SwapSlot first = put(*swap, pages);
  const auto more = swap->write(noise(65, 2));
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().kind(), ErrorKind::NoMemory);
  EXPECT_THAT(more.error().text(), HasSubstr("of its 256 pages are in use; raise --swap-size"));
  EXPECT_EQ(swap->usage().used, 192U) << "nothing of it was kept";
  put(*swap, noise(64, 3));
  expect_read(*swap, first.number, pages);
}

TEST_P(SwapFileTest, ADamagedPageIsAnErrorWithFileAndOffset) {
  const auto swap = make(directory.file());
  const auto pages = some_pages(32, 5);
  const SwapSlot first = put(*swap, pages);
  {
    // Somebody writes into the second cluster behind our back.
    std::fstream file(directory.file(), std::ios::in | std::ios::out | std::ios::binary);
    const std::uint64_t used = swap->used();
    file.seekp(static_cast<std::streamoff>(SwapDisk::kHeaderBytes + used / 2 + 100));
    file.write("damage", 6);
  }
  std::vector<std::byte> bytes(pages.size());
  const auto status = swap->read(first, bytes);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::PagerIo);
  EXPECT_THAT(status.error().text(), StartsWith("swap file " + directory.file()));
  EXPECT_THAT(status.error().text(), HasSubstr("at offset "));
  EXPECT_THAT(status.error().text(), HasSubstr("is not what was written there"));
  expect_read(*swap, first.number, std::span(pages).first(16 * kPageSize));
}

TEST_P(SwapFileTest, ATruncatedFileIsAnErrorWithFileAndOffset) {
  const auto swap = make(directory.file());
  const SwapSlot first = put(*swap, some_pages(64, 6));
  ASSERT_EQ(::truncate(directory.file().c_str(), 2 * kPageSize), 0);
  std::vector<std::byte> bytes(64 * kPageSize);
  const auto status = swap->read(first, bytes);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::PagerIo);
  EXPECT_THAT(status.error().text(), HasSubstr("swap file " + directory.file() + ": reading "));
  EXPECT_THAT(status.error().text(), HasSubstr("bytes at offset 4096: the file ends after 4096 of them"));
}

TEST_P(SwapFileTest, AFileSystemWithoutRoomIsAnErrorAndLaterItWorks) {
  const auto swap = make(directory.file());
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = old;
  tight.rlim_cur = 16 * kPageSize;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  const auto refused = swap->write(noise(64, 7));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::PagerIo);
  EXPECT_THAT(refused.error().text(), HasSubstr("swap file " + directory.file() + ": writing "));
  EXPECT_THAT(refused.error().text(), HasSubstr("make room there, or give --swap another place"));
  EXPECT_EQ(swap->usage().used, 0U);
  const auto pages = noise(64, 7);
  expect_read(*swap, put(*swap, pages).number, pages);
}

TEST_P(SwapFileTest, LeavesNothingBehindInADirectoryAndOnlyAHeaderInAFile) {
  {
    const auto nameless = make(directory.path());
    put(*nameless, noise(16, 1));
    EXPECT_THAT(std::string(nameless->name()), StartsWith("deleted swap file in "));
  }
  EXPECT_EQ(::rmdir(directory.path().c_str()), 0) << "it is empty";
  ASSERT_EQ(::mkdir(directory.path().c_str(), 0700), 0);
  {
    const auto named = make(directory.file());
    put(*named, noise(16, 1));
  }
  struct stat status {};
  ASSERT_EQ(::stat(directory.file().c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 4096);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  put(*make(directory.file()), noise(1, 1));  // its own file is taken again
}

TEST_P(SwapFileTest, RefusesWhatIsSomebodyElses) {
  const auto error_of = [&](const std::string& place) {
    const auto made = SwapFile::create(settings(place));
    return made ? std::string("no error") : made.error().text();
  };
  std::ofstream(directory.file()) << "the only copy of a thesis";
  EXPECT_THAT(error_of(directory.file()),
              HasSubstr("holds something else, which would be lost; give --swap"));
  std::string kept;
  std::getline(std::ifstream(directory.file()), kept);
  EXPECT_EQ(kept, "the only copy of a thesis");
  ASSERT_EQ(::truncate(directory.file().c_str(), 0), 0);
  const auto first = make(directory.file());
  EXPECT_THAT(error_of(directory.file()), HasSubstr("another machine uses it; give each machine its own"));
  EXPECT_THAT(error_of("/dev/null"), HasSubstr("is no regular file"));
  EXPECT_THAT(error_of("/nowhere/swap"), HasSubstr("swap /nowhere/swap: No such file or directory"));
  EXPECT_EQ(error_of(std::string("/no\nwhere/x")).find('\n'), std::string::npos);
}

TEST_P(SwapFileTest, AFileInMemoryIsNoticed) {
  struct statfs system {};
  ASSERT_EQ(::statfs(directory.path().c_str(), &system), 0);
  EXPECT_EQ(make(directory.path())->disk().in_memory(), system.f_type == TMPFS_MAGIC);
  struct stat status {};
  if (::stat("/dev/shm", &status) != 0) GTEST_SKIP() << "this host has no /dev/shm";
  const auto swap = make("/dev/shm");
  EXPECT_TRUE(swap->disk().in_memory());
  const auto pages = some_pages(20, 9);
  expect_read(*swap, put(*swap, pages).number, pages);
}

INSTANTIATE_TEST_SUITE_P(Kinds, SwapFileTest,
                         ::testing::Values(Variant{"ring", IoEngine::Best, SwapCompression::Off},
                                           Variant{"plain", IoEngine::Plain, SwapCompression::Off},
                                           Variant{"ring_zstd", IoEngine::Best, SwapCompression::Zstd},
                                           Variant{"plain_zstd", IoEngine::Plain, SwapCompression::Zstd}),
                         [](const auto& variant) { return std::string(variant.param.name); });

TEST(SwapFile, CompressedPagesTakeLessRoom) {
  const Directory directory;
  SwapSettings settings;
  settings.disk = {directory.path(), kMiB, IoEngine::Best};
  settings.compression = SwapCompression::Zstd;
  const auto swap = SwapFile::create(settings);
  ASSERT_TRUE(swap) << swap.error().text();
  const std::vector<std::byte> zeros(1024 * kPageSize);  // four times the size of the file
  const SwapSlot first = put(**swap, zeros);
  EXPECT_EQ((*swap)->usage().used, 64U) << "one page for each sixteen";
  expect_read(**swap, first.number, zeros);
  (*swap)->free(first, 1023);
  EXPECT_EQ((*swap)->usage().used, 1U) << "a cluster stays as long as one of its pages";
}

/// Every later io_uring_setup(2) of this process fails with EPERM, as in most containers.
void forbid_rings() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{4, filter};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

void work_without_rings(const std::string& place) {
  forbid_rings();
  SwapSettings settings;
  settings.disk = {place, kMiB, IoEngine::Best};
  const auto swap = SwapFile::create(settings);
  if (!swap) std::_Exit(1);
  const auto pages = noise(32, 1);
  const auto slot = (*swap)->write(pages);
  std::vector<std::byte> bytes(pages.size());
  if (!slot || !(*swap)->read(*slot, bytes) || bytes != pages) std::_Exit(2);
  std::fprintf(stderr, "%s; %s\n", (*swap)->disk().how().c_str(), (*swap)->disk().engine_reason().c_str());
  std::_Exit(0);
}

TEST(SwapFileDeathTest, WorksWhereNoRingIsAllowedAndSaysSo) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(work_without_rings(::testing::TempDir()), ::testing::ExitedWithCode(0),
              "pread/pwrite; setting up io_uring: Operation not permitted; allow io_uring");
}

}  // namespace swap_file_test
}  // namespace vmm
