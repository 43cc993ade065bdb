// The VM system alone, over the simulated MMU: what it costs before any host call.
//
// Nothing here means much by itself: what a fault needs of the simulated MMU, a page's copy and the map's
// lock are measured in the same run, by the same loop. The number behind a fault's name is how many other
// mappings the space has.
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <cstring>
#include <iterator>
#include <map>

#include "tests/uvm/fixture.h"
#include "uvm/pin.h"

namespace test {
namespace {

using uvm::AccessKind;
using uvm::FaultKind;

constexpr std::uint64_t kFillers = 250000;  // pages below this are for other mappings
constexpr std::uint64_t kAt = kFillers;     // where a fault's mapping begins
constexpr std::uint64_t kCount = 1024;      // its pages
constexpr std::uint64_t kWired = 65536;     // pages of 256 MiB

/// Memory that is there, as a RAM object's.
class MemoryPager : public FakePager {
 public:
  using FakePager::FakePager;
  [[nodiscard]] bool answers_at_once() const override { return true; }
};

void must(const uvm::Status& status, benchmark::State& state) {
  if (!status) state.SkipWithError(status.error().text().c_str());
}

struct Bench {
  /// With as many mappings of one page as the benchmark's argument says.
  explicit Bench(benchmark::State& state) {
    for (std::int64_t i = 0; i < state.range(0); ++i) {
      auto request = ram(pages(2 * static_cast<std::uint64_t>(i), 1));
      request.protection = uvm::Protection::None;
      must(space.map(request), state);
    }
  }
  Bench() = default;

  SimArena arena;
  Guest guest{arena};
  uvm::Space& space = *guest.space;
};

void entries(benchmark::internal::Benchmark* bench) {
  bench->Arg(10)->Arg(10000)->Arg(100000);
}

/// The translation is there: somebody else was first.
void BM_FaultAlready(benchmark::State& state) {
  Bench bench(state);
  must(bench.space.map(ram(pages(kAt, kCount))), state);
  must(bench.guest.cpu.store(page(kAt + 5), 1), state);
  for ([[maybe_unused]] auto _ : state) must(bench.space.fault(page(kAt + 5), AccessKind::Read), state);
}
BENCHMARK(BM_FaultAlready)->Apply(entries);

/// What a 1A or 2A asks of the simulated MMU, without a fault: the least it could cost.
void BM_PmapAlone(benchmark::State& state) {
  SimMmu mmu(Guest::kBytes);
  SimStore store("o", kCount);
  const uvm::Mapping mapping{pages(kAt, kCount), store.frame(0), uvm::Fill::Exact, uvm::Protection::All};
  for ([[maybe_unused]] auto _ : state) {
    mmu.remove(mapping.range);
    benchmark::DoNotOptimize(mmu.harvest_page(page(kAt + 5)));
    benchmark::DoNotOptimize(mmu.extract(page(kAt + 5)));
    benchmark::DoNotOptimize(mmu.unserved(page(kAt + 5), mapping.range, uvm::Protection::Read));
    must(mmu.enter(mapping), state);
  }
}
BENCHMARK(BM_PmapAlone);

/// 1A: a private page whose translation was lost.
void BM_Fault1A(benchmark::State& state) {
  Bench bench(state);
  must(bench.space.map(ram(pages(kAt, kCount))), state);
  must(bench.guest.cpu.store(page(kAt + 5), 1), state);
  for ([[maybe_unused]] auto _ : state) {
    bench.guest.mmu.remove(pages(kAt, kCount));
    must(bench.space.fault(page(kAt + 5), AccessKind::Read), state);
  }
}
BENCHMARK(BM_Fault1A)->Apply(entries);

/// 2A: the object's page, the whole entry entered at once.
void BM_Fault2A(benchmark::State& state) {
  Bench bench(state);
  auto object = uvm::Object::create(std::make_shared<MemoryPager>("o", kCount * kPage));
  must(bench.space.map(over(pages(kAt, kCount), object, uvm::Sharing::Shared)), state);
  for ([[maybe_unused]] auto _ : state) {
    bench.guest.mmu.remove(pages(kAt, kCount));
    must(bench.space.fault(page(kAt + 5), AccessKind::Read), state);
  }
}
BENCHMARK(BM_Fault2A)->Apply(entries);

/// The part of a 2B that no VM system can save: a page copied from and to memory that was not touched lately.
void BM_PageCopyAlone(benchmark::State& state) {
  SimStore from("from", kCount);
  SimStore to("to", kCount);
  std::uint64_t at = 0;
  for ([[maybe_unused]] auto _ : state) {
    std::memcpy(to.page(at).data(), from.page(at).data(), kPage);
    benchmark::ClobberMemory();
    at = (at + 1) % kCount;
  }
}
BENCHMARK(BM_PageCopyAlone);

/// What a 2B asks of the simulated MMU, without a fault: the copy is part of it.
void BM_PmapPromoteAlone(benchmark::State& state) {
  SimMmu mmu(Guest::kBytes);
  SimStore store("o", kCount);
  std::uint64_t at = 0;
  for ([[maybe_unused]] auto _ : state) {
    const auto frame = mmu.promote({page(kAt + at), store.frame(at), uvm::Placement::InPlace, {}});
    must(mmu.enter({pages(kAt + at, 1), *frame, uvm::Fill::Exact, uvm::Protection::All}), state);
    if (++at == kCount) {
      state.PauseTiming();
      at = 0;
      mmu.discard(pages(kAt, kCount));
      state.ResumeTiming();
    }
  }
  mmu.discard(pages(kAt, kCount));
}
BENCHMARK(BM_PmapPromoteAlone);

/// 2B by ourselves (a wiring fault): promotion of one page, copied.
void BM_Fault2B(benchmark::State& state) {
  Bench bench(state);
  auto object = uvm::Object::create(std::make_shared<FakePager>("o", kCount * kPage));
  must(bench.space.map(over(pages(kAt, kCount), object)), state);
  std::uint64_t at = 0;
  for ([[maybe_unused]] auto _ : state) {
    must(bench.space.fault(page(kAt + at), AccessKind::Read, FaultKind::WireMax), state);
    if (++at == kCount) {
      state.PauseTiming();
      at = 0;
      auto again = over(pages(kAt, kCount), object);
      again.overlap = uvm::Overlap::Replace;
      must(bench.space.map(again), state);
      state.ResumeTiming();
    }
  }
}
BENCHMARK(BM_Fault2B)->Apply(entries);

/// The map's lock taken and given back, and nothing looked up.
void BM_LockAlone(benchmark::State& state) {
  Bench bench;
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(bench.space.version());
}
BENCHMARK(BM_LockAlone);

/// The same look-ups in the tree that owns the entries, without a lock: what the index is held against.
void BM_TreeLookup(benchmark::State& state) {
  std::map<uvm::Gpa, uvm::Entry> tree;
  const auto count = static_cast<std::uint64_t>(state.range(0));
  for (std::uint64_t i = 0; i < count; ++i) tree[page(2 * i)].range = pages(2 * i, 1);
  std::uint64_t at = 0;
  for ([[maybe_unused]] auto _ : state) {
    const auto above = tree.upper_bound(page(2 * at + 1));
    benchmark::DoNotOptimize(std::prev(above)->second.range.end() > page(2 * at + 1));
    at = (at + 7919) % count;
  }
}
BENCHMARK(BM_TreeLookup)->Apply(entries);

/// Look-ups (entry_at of a hole costs the same search without making an answer).
void BM_Lookup(benchmark::State& state) {
  Bench bench(state);
  const auto count = static_cast<std::uint64_t>(state.range(0));
  std::uint64_t at = 0;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(bench.space.entry_at(page(2 * at + 1)));
    at = (at + 7919) % count;
  }
}
BENCHMARK(BM_Lookup)->Apply(entries);

void BM_MapUnmap(benchmark::State& state) {
  Bench bench(state);
  for ([[maybe_unused]] auto _ : state) {
    auto request = ram(pages(2 * 5 + 1, 1));
    request.protection = uvm::Protection::None;
    request.advice = uvm::Advice::Random;  // so that it joins nothing
    must(bench.space.map(request), state);
    must(bench.space.unmap(request.range), state);
  }
}
BENCHMARK(BM_MapUnmap)->Apply(entries);

/// One mapping cut into as many pieces as the argument says, at random places, and joined again: per piece.
void BM_ClipStorm(benchmark::State& state) {
  Bench bench;
  const auto count = static_cast<std::uint64_t>(state.range(0));
  must(bench.space.map(ram(pages(0, 2 * count + 1))), state);
  const auto storm = [&](uvm::Inherit inherit) {
    for (std::uint64_t i = 0; i < count; ++i) {
      must(bench.space.inherit(pages(2 * ((i * 7919) % count) + 1, 1), inherit), state);
    }
  };
  for ([[maybe_unused]] auto _ : state) {
    storm(uvm::Inherit::None);
    storm(uvm::Inherit::Copy);
  }
  state.SetItemsProcessed(state.iterations() * 2 * state.range(0));
}
BENCHMARK(BM_ClipStorm)->Arg(10)->Arg(10000)->Arg(100000)->Unit(benchmark::kMillisecond);

/// What wiring absent pages is held against: the host's own way to make 256 MiB present and writable.
void BM_PopulateAlone(benchmark::State& state) {
  for ([[maybe_unused]] auto _ : state) {
    void* at = ::mmap(nullptr, kWired * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ::madvise(at, kWired * kPage, MADV_NOHUGEPAGE);
    if (::madvise(at, kWired * kPage, MADV_POPULATE_WRITE) != 0) state.SkipWithError("no populate");
    state.PauseTiming();
    ::munmap(at, kWired * kPage);
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kWired));
}
BENCHMARK(BM_PopulateAlone)->Unit(benchmark::kMillisecond)->Iterations(3);

/// Wire and unwire of 256 MiB: absent before (0), private already (1).
void BM_WireUnwire(benchmark::State& state) {
  Bench bench;
  auto owner = uvm::PinOwner::create("bench");
  const auto range = pages(0, kWired);
  const auto pin = [&] {
    const auto held = uvm::Pin::create(bench.space, range, uvm::PinAccess::Write, owner);
    if (!held) state.SkipWithError(held.error().text().c_str());
  };
  auto request = ram(range);
  request.overlap = uvm::Overlap::Replace;
  must(bench.space.map(request), state);
  if (state.range(0) == 1) pin();
  for ([[maybe_unused]] auto _ : state) {
    pin();
    if (state.range(0) == 1) continue;
    state.PauseTiming();
    must(bench.space.map(request), state);
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kWired));
}
BENCHMARK(BM_WireUnwire)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

/// Memory spent on describing 256 MiB that are resident, percent: private pages in place (0), and the worst
/// there is, a page of every address shared by two spaces (1).
void BM_Metadata(benchmark::State& state) {
  SimArena arena(kWired + 1);
  Guest guest(arena);
  must(guest.space->map(ram(pages(0, kWired))), state);
  for (std::uint64_t i = 0; i < kWired; ++i) must(guest.cpu.store(page(i), i), state);
  guest.mmu.update();  // the simulated vCPU's translations cost time only
  double bytes = 0;
  for ([[maybe_unused]] auto _ : state) {
    if (state.range(0) == 0) {
      bytes = static_cast<double>(guest.space->metadata_bytes());
    } else {
      Guest child(arena, "child", guest);
      bytes = static_cast<double>(guest.space->metadata_bytes());
    }
  }
  state.counters["percent"] = 100.0 * bytes / static_cast<double>(kWired * kPage);
}
BENCHMARK(BM_Metadata)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond)->Iterations(1);

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
