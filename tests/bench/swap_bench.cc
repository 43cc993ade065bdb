// The swap file against the disk it is on, and pages that come back one by one or in clusters.
//
// out_and_in writes 512 MiB, cluster by cluster, and reads them again, first as dd with direct I/O would,
// then through the swap file with its slots and sums; pairs alternate, so that whatever else the machine does
// meets both. The figure to watch is the ratio of the best runs: at least 0.7.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ept/pmap.h"
#include "uvm/base/units.h"
#include "vmm/kvm/fd.h"
#include "vmm/swap/aligned_bytes.h"
#include "vmm/swap/swap_file.h"

namespace {

using uvm::kPageSize;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kTotal = std::uint64_t{512} << 20;
constexpr int kRuns = 5;
constexpr const char* kPlace = "/var/tmp";

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Half noise, half zeros, as a guest's memory compresses.
void make_bytes(std::span<std::byte> bytes) {
  std::mt19937_64 random(1);
  for (std::size_t at = 0; at < bytes.size(); at += 2) bytes[at] = static_cast<std::byte>(random());
}

/// Seconds for out and in, plain system calls on a file without a name.
double direct(std::span<std::byte> cluster) {
  const vmm::Fd file(::open(kPlace, O_RDWR | O_TMPFILE | O_DIRECT | O_CLOEXEC, 0600));
  if (!file) return 0;
  const auto size = static_cast<ssize_t>(cluster.size());
  const auto begin = Clock::now();
  for (std::uint64_t at = 0; at < kTotal; at += cluster.size()) {
    if (::pwrite(file.get(), cluster.data(), cluster.size(), static_cast<off_t>(at)) != size) return 0;
  }
  for (std::uint64_t at = 0; at < kTotal; at += cluster.size()) {
    if (::pread(file.get(), cluster.data(), cluster.size(), static_cast<off_t>(at)) != size) return 0;
  }
  return seconds_since(begin);
}

double swapped(std::span<std::byte> cluster, vmm::IoEngine engine, vmm::SwapCompression compression) {
  vmm::SwapSettings settings;
  settings.disk = {kPlace, kTotal, engine};
  settings.compression = compression;
  auto swap = vmm::SwapFile::create(settings);
  if (!swap) return 0;
  std::vector<uvm::SwapSlot> slots;
  slots.reserve(kTotal / cluster.size());
  const auto begin = Clock::now();
  for (std::uint64_t at = 0; at < kTotal; at += cluster.size()) {
    const auto slot = (*swap)->write(cluster);
    if (!slot) return 0;
    slots.push_back(*slot);
  }
  for (const auto slot : slots) {
    if (!(*swap)->read(slot, cluster)) return 0;
    (*swap)->free(slot, cluster.size() / kPageSize);
  }
  return seconds_since(begin);
}

double best(const std::vector<double>& runs) {
  return *std::ranges::min_element(runs);
}

bool out_and_in(std::uint64_t pages) {
  vmm::AlignedBytes memory(pages * kPageSize);
  make_bytes(memory.bytes());
  std::vector<double> plain;
  std::vector<double> ring;
  std::vector<double> calls;
  std::vector<double> packed;
  for (int run = 0; run < kRuns; ++run) {
    plain.push_back(direct(memory.bytes()));
    ring.push_back(swapped(memory.bytes(), vmm::IoEngine::Best, vmm::SwapCompression::Off));
    calls.push_back(swapped(memory.bytes(), vmm::IoEngine::Plain, vmm::SwapCompression::Off));
    packed.push_back(swapped(memory.bytes(), vmm::IoEngine::Best, vmm::SwapCompression::Zstd));
  }
  const auto rate = [](double seconds) { return 2.0 * static_cast<double>(kTotal) / 1e6 / seconds; };
  const double ratio = best(plain) / best(ring);
  std::printf(
      "clusters of %3llu pages: direct I/O %5.0f MB/s, swap by io_uring %5.0f, by pread/pwrite %5.0f, zstd "
      "%5.0f; "
      "io_uring/direct %.2f (target 0.70)%s\n",
      static_cast<unsigned long long>(pages), rate(best(plain)), rate(best(ring)), rate(best(calls)),
      rate(best(packed)), ratio, ratio < 0.7 ? "  MISSED" : "");
  return best(plain) > 0 && best(ring) > 0;
}

/// Microseconds a page for touching absent pages one after the other, which a second thread fills `cluster`
/// at a time from memory: the event and the filling, without a disk.
double event_pages(std::uint64_t cluster) {
  constexpr std::uint64_t kPages = 16384;
  ept::PmapConfig config;
  config.covered = uvm::GpaRange::from_size(uvm::Gpa(0), kPages * kPageSize).value();
  config.window.huge = ept::host::HugePages::Never;
  auto pmap = ept::Pmap::create(config).value();
  if (pmap->events() == nullptr) return 0;
  pmap->enter({config.covered, std::nullopt, uvm::Fill::Present, uvm::Protection::All}).value();
  std::vector<std::byte> bytes(cluster * kPageSize);
  make_bytes(bytes);
  std::atomic<bool> stop{false};
  std::thread handler([&] {
    pollfd wait{pmap->events()->fd(), POLLIN, 0};
    while (!stop.load()) {
      (void)::poll(&wait, 1, 10);
      while (const auto event = pmap->events()->next()) {
        const uvm::Gpa begin = event->address.align_down(cluster * kPageSize);
        pmap->fill(uvm::GpaRange::from_size(begin, bytes.size()).value(), bytes).value();
      }
    }
  });
  const auto begin = Clock::now();
  for (std::uint64_t page = 0; page < kPages; ++page) {
    const auto at = uvm::GpaRange::from_size(uvm::Gpa(page * kPageSize), kPageSize).value();
    *static_cast<volatile std::byte*>(pmap->bytes(at).data()) = std::byte{1};
  }
  const double seconds = seconds_since(begin);
  stop.store(true);
  handler.join();
  return seconds * 1e6 / static_cast<double>(kPages);
}

}  // namespace

int main() {
  bool good = true;
  for (const std::uint64_t pages : {16U, 64U, 256U}) good = out_and_in(pages) && good;
  for (const std::uint64_t cluster : {1U, 16U}) {
    std::vector<double> runs;
    for (int run = 0; run < kRuns; ++run) runs.push_back(event_pages(cluster));
    std::printf("absent pages, clusters of %2llu: %.2f us a page\n", static_cast<unsigned long long>(cluster),
                best(runs));
  }
  return good ? 0 : 1;
}
