// The VM system alone, over the simulated MMU: what a fault costs before any host call.
#include <benchmark/benchmark.h>

#include "tests/uvm/fixture.h"

namespace test {
namespace {

using uvm::AccessKind;
using uvm::FaultKind;

void must(const uvm::Status& status, benchmark::State& state) {
  if (!status) state.SkipWithError(status.error().text().c_str());
}

struct Bench {
  SimArena arena;
  Guest guest{arena};
  uvm::Space& space = *guest.space;
};

/// The translation is there: somebody else was first.
void BM_FaultAlready(benchmark::State& state) {
  Bench bench;
  must(bench.space.map(ram(pages(0, 1024))), state);
  must(bench.guest.cpu.store(page(5), 1), state);
  for ([[maybe_unused]] auto _ : state) must(bench.space.fault(page(5), AccessKind::Read), state);
}
BENCHMARK(BM_FaultAlready);

/// 1A: a private page whose translation was lost.
void BM_Fault1A(benchmark::State& state) {
  Bench bench;
  must(bench.space.map(ram(pages(0, 1024))), state);
  must(bench.guest.cpu.store(page(5), 1), state);
  for ([[maybe_unused]] auto _ : state) {
    bench.guest.mmu.remove(pages(0, 1024));
    must(bench.space.fault(page(5), AccessKind::Read), state);
  }
}
BENCHMARK(BM_Fault1A);

/// 2A: the object's page, the whole entry entered at once.
void BM_Fault2A(benchmark::State& state) {
  Bench bench;
  auto object = uvm::Object::create(std::make_shared<FakePager>("o", 1024 * kPage));
  must(bench.space.map(over(pages(0, 1024), object, uvm::Sharing::Shared)), state);
  for ([[maybe_unused]] auto _ : state) {
    bench.guest.mmu.remove(pages(0, 1024));
    must(bench.space.fault(page(5), AccessKind::Read), state);
  }
}
BENCHMARK(BM_Fault2A);

/// 2B by ourselves (a wiring fault): promotion of one page, copied.
void BM_Fault2B(benchmark::State& state) {
  Bench bench;
  auto object = uvm::Object::create(std::make_shared<FakePager>("o", 1024 * kPage));
  must(bench.space.map(over(pages(0, 1024), object)), state);
  std::uint64_t at = 0;
  for ([[maybe_unused]] auto _ : state) {
    must(bench.space.fault(page(at), AccessKind::Read, FaultKind::WireMax), state);
    if (++at == 1024) {
      state.PauseTiming();
      at = 0;
      auto again = over(pages(0, 1024), object);
      again.overlap = uvm::Overlap::Replace;
      must(bench.space.map(again), state);
      state.ResumeTiming();
    }
  }
}
BENCHMARK(BM_Fault2B);

/// Look-ups (entry_at of a hole costs the same search without making an answer).
void BM_Lookup(benchmark::State& state) {
  Bench bench;
  const auto entries = static_cast<std::uint64_t>(state.range(0));
  for (std::uint64_t i = 0; i < entries; ++i) {
    auto request = ram(pages(2 * i, 1));
    request.protection = uvm::Protection::None;
    must(bench.space.map(request), state);
  }
  std::uint64_t at = 0;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(bench.space.entry_at(page(2 * at + 1)));
    at = (at + 7919) % entries;
  }
}
BENCHMARK(BM_Lookup)->Arg(10)->Arg(10000)->Arg(100000);

void BM_MapUnmap(benchmark::State& state) {
  Bench bench;
  for (std::uint64_t i = 0; i < 1000; ++i) must(bench.space.map(ram(pages(4 * i, 1))), state);
  for ([[maybe_unused]] auto _ : state) {
    must(bench.space.map(ram(pages(4002, 1))), state);
    must(bench.space.unmap(pages(4002, 1)), state);
  }
}
BENCHMARK(BM_MapUnmap);

/// What an untouched 64 GiB space costs in memory, the pmap's tables apart.
void BM_Metadata64GiB(benchmark::State& state) {
  SimMmu mmu(kPage);
  const auto range = *uvm::GpaRange::from_size(uvm::Gpa(0), std::uint64_t{64} << 30);
  std::uint64_t bytes = 0;
  for ([[maybe_unused]] auto _ : state) {
    auto space = uvm::Space::create("wide", mmu, range).value();
    must(space->map(ram(range)), state);
    bytes = space->metadata_bytes();
  }
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(BM_Metadata64GiB);

}  // namespace
}  // namespace test

BENCHMARK_MAIN();
