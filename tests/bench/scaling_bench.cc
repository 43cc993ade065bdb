// Whether faults of two threads wait for each other: faults a second of one and of two threads in one space,
// each in pages of its own, and the ratio.
//
// The pmap here has no lock at all, so what is measured is the VM system: the map's lock, which faults share,
// the entry's amap, and the counters. The pmap of ept/ has a lock for each space, held for one change of its
// tables and of the window.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "tests/uvm/fixture.h"

namespace test {
namespace {

using uvm::AccessKind;

constexpr std::uint64_t kEach = 512;  // pages of a thread
constexpr std::size_t kMostThreads = 2;
constexpr std::chrono::milliseconds kTime{200};

/// Remembers for each page whether it has a translation, and nothing else.
class FlagPmap : public uvm::Pmap {
 public:
  [[nodiscard]] uvm::Status enter(const uvm::Mapping& mapping) override {
    for (std::uint64_t i = 0; i < mapping.range.pages(); ++i) flags_[mapping.range.begin().page() + i] = true;
    return uvm::ok();
  }
  void remove(uvm::GpaRange range) override {
    for (std::uint64_t i = 0; i < range.pages(); ++i) flags_[range.begin().page() + i] = false;
  }
  void discard(uvm::GpaRange range) override { remove(range); }
  void free_private(uvm::GpaRange /*range*/) override {}
  void protect(uvm::GpaRange /*range*/, uvm::Protection /*most*/) override {}
  [[nodiscard]] uvm::Result<uvm::Frame> promote(const uvm::Promotion& /*promotion*/) override {
    return uvm::Error(uvm::ErrorKind::Unsupported, "no frames here");
  }
  void release(uvm::Frame /*frame*/) override {}
  void harvest(uvm::GpaRange /*range*/,
               const std::function<void(uvm::GpaRange, uvm::Frame)>& /*found*/) override {}
  [[nodiscard]] std::optional<uvm::Frame> harvest_page(uvm::Gpa /*page*/) override { return std::nullopt; }
  [[nodiscard]] std::optional<uvm::Translation> extract(uvm::Gpa address) const override {
    if (!flags_[address.page()]) return std::nullopt;
    return uvm::Translation{std::nullopt, uvm::Fill::Zero, uvm::Protection::All, uvm::kPageSize};
  }
  [[nodiscard]] uvm::GpaRange unserved(uvm::Gpa page, uvm::GpaRange /*run*/,
                                       uvm::Protection /*rights*/) const override {
    return uvm::GpaRange::page_of(page);
  }
  [[nodiscard]] uvm::Status read_frame(uvm::Frame /*frame*/, std::uint64_t /*offset*/,
                                       std::span<std::byte> /*to*/) override {
    return uvm::Error(uvm::ErrorKind::Unsupported, "no frames here");
  }
  [[nodiscard]] uvm::Status write_frame(uvm::Frame /*frame*/, std::uint64_t /*offset*/,
                                        std::span<const std::byte> /*from*/) override {
    return uvm::Error(uvm::ErrorKind::Unsupported, "no frames here");
  }
  [[nodiscard]] bool discard_equal(uvm::Gpa /*page*/, std::span<const std::byte> /*bytes*/) override {
    return false;
  }
  [[nodiscard]] std::span<std::byte> bytes(uvm::GpaRange /*range*/) override { return {}; }
  [[nodiscard]] uvm::Status copy_out(uvm::GpaRange /*from*/, std::span<std::byte> /*to*/) override {
    return uvm::Error(uvm::ErrorKind::Unsupported, "no bytes here");
  }
  [[nodiscard]] uvm::Status copy_in(uvm::GpaRange /*to*/, std::span<const std::byte> /*from*/) override {
    return uvm::Error(uvm::ErrorKind::Unsupported, "no bytes here");
  }
  [[nodiscard]] uvm::Status settle(std::span<const uvm::GpaRange> /*ranges*/) override { return uvm::ok(); }
  [[nodiscard]] uvm::Status fill(uvm::GpaRange /*range*/, std::span<const std::byte> /*bytes*/) override {
    return uvm::Error(uvm::ErrorKind::Unsupported, "no bytes here");
  }
  [[nodiscard]] uvm::Status read(uvm::Frame /*first*/, std::span<std::byte> /*to*/) const override {
    return uvm::Error(uvm::ErrorKind::Unsupported, "no frames here");
  }
  void update() override {}
  void drop_all() override {}
  [[nodiscard]] uvm::Residency residency(uvm::GpaRange /*range*/) const override { return {}; }
  void each_object_run(uvm::GpaRange /*range*/,
                       const std::function<void(uvm::GpaRange)>& /*found*/) const override {}
  [[nodiscard]] std::uint64_t metadata_bytes() const override { return 0; }

 private:
  std::array<std::atomic<bool>, kMostThreads * kEach> flags_{};
};

/// Faults a second of `threads` threads.
double rate(uvm::Space& space, FlagPmap& pmap, std::size_t threads) {
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> faults{0};
  std::vector<std::thread> workers;
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < threads; ++i) {
    workers.emplace_back([&, i] {
      std::uint64_t mine = 0;
      for (; !over.load(std::memory_order_relaxed); ++mine) {
        const std::uint64_t number = i * kEach + mine % kEach;
        pmap.remove(pages(number, 1));
        if (!space.fault(page(number), AccessKind::Write)) break;
      }
      faults += mine;
    });
  }
  std::this_thread::sleep_for(kTime);
  over = true;
  for (std::thread& worker : workers) worker.join();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  return static_cast<double>(faults) / seconds.count();
}

void BM_FaultsOfTwoThreads(benchmark::State& state) {
  FlagPmap pmap;
  const auto space = uvm::Space::create("bench", pmap, pages(0, kMostThreads * kEach)).value();
  for (std::size_t i = 0; i < kMostThreads; ++i) {
    auto request = ram(pages(i * kEach, kEach), "ram" + std::to_string(i));
    request.advice = uvm::Advice::Random;  // one page a fault
    if (!space->map(request)) state.SkipWithError("map");
  }
  double one = 0;
  double two = 0;
  for ([[maybe_unused]] auto _ : state) {
    // The best of several: whatever else the machine does only makes less of it.
    one = std::max(one, rate(*space, pmap, 1));
    two = std::max(two, rate(*space, pmap, 2));
  }
  state.counters["one"] = one;
  state.counters["two"] = two;
  state.counters["ratio"] = two / one;
}
BENCHMARK(BM_FaultsOfTwoThreads)->Iterations(5)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace test

BENCHMARK_MAIN();
