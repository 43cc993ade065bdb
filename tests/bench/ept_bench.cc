// What the pmap's operations cost on this host, without a guest.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <poll.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>

#include "ept/host/arena.h"
#include "ept/host/ram_object.h"
#include "ept/pmap.h"
#include "uvm/pin.h"
#include "uvm/space.h"

namespace {

using uvm::Fill;
using uvm::Gpa;
using uvm::GpaRange;
using uvm::kPageSize;
using uvm::Mapping;
using uvm::Protection;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

GpaRange bytes(std::uint64_t begin, std::uint64_t size) {
  return GpaRange::from_size(Gpa(begin), size).value();
}

std::unique_ptr<ept::Pmap> make_pmap(std::uint64_t size, ept::host::HugePages huge) {
  ept::PmapConfig config;
  config.covered = bytes(0, size);
  config.window.huge = huge;
  return ept::Pmap::create(config).value();
}

std::unique_ptr<ept::host::RamObject> make_object(std::uint64_t size, ept::host::HugePages huge) {
  return ept::host::RamObject::create("bench", size, huge).value();
}

void touch(ept::Pmap& pmap, std::uint64_t at) {
  *static_cast<volatile std::byte*>(pmap.bytes(bytes(at, kPageSize)).data()) = std::byte{1};
}

void create_and_enter_64_gib(benchmark::State& state) {
  std::uint64_t metadata = 0;
  for ([[maybe_unused]] auto _ : state) {
    const auto pmap = make_pmap(64 * kGiB, ept::host::HugePages::Want);
    pmap->enter({bytes(0, 64 * kGiB), std::nullopt, Fill::Zero, Protection::All}).value();
    metadata = pmap->metadata_bytes();
  }
  state.counters["metadata_bytes"] = static_cast<double>(metadata);
}
BENCHMARK(create_and_enter_64_gib)->Unit(benchmark::kMicrosecond);

void enter_again(benchmark::State& state) {
  const auto pmap = make_pmap(64 * kGiB, ept::host::HugePages::Want);
  const Mapping mapping{bytes(0, 64 * kGiB), std::nullopt, Fill::Zero, Protection::All};
  pmap->enter(mapping).value();
  for ([[maybe_unused]] auto _ : state) pmap->enter(mapping).value();
}
BENCHMARK(enter_again)->Unit(benchmark::kMicrosecond);

void table_lookup(benchmark::State& state) {
  ept::Table table;
  ept::Leaf leaf;
  leaf.frame = 1;  // out of step: small leaves, four levels deep
  leaf.rights = Protection::All;
  table.set(bytes(0, kGiB), leaf);
  std::uint64_t at = 0;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(table.lookup(Gpa(at)));
    at = (at + 4099 * kPageSize) % kGiB;
  }
}
BENCHMARK(table_lookup);

void promote_in_place(benchmark::State& state) {
  const auto object = make_object(kGiB, ept::host::HugePages::Never);
  auto pmap = make_pmap(kGiB, ept::host::HugePages::Never);
  const Mapping mapping{bytes(0, kGiB), uvm::Frame{object.get(), 0}, Fill::CopyOnWrite, Protection::All};
  pmap->enter(mapping).value();
  std::uint64_t page = 0;
  for ([[maybe_unused]] auto _ : state) {
    if (page == kGiB / kPageSize) {
      state.PauseTiming();
      pmap->discard(bytes(0, kGiB));
      pmap->enter(mapping).value();
      page = 0;
      state.ResumeTiming();
    }
    pmap->promote({Gpa(page * kPageSize), uvm::Frame{object.get(), page}, uvm::Placement::InPlace}).value();
    ++page;
  }
}
BENCHMARK(promote_in_place)->Unit(benchmark::kMicrosecond);

void promote_and_enter_over_shared(benchmark::State& state) {
  constexpr std::uint64_t kPages = 1024;
  const auto object = make_object(2 * kPages * kPageSize, ept::host::HugePages::Never);
  const auto pmap = make_pmap(2 * kPages * kPageSize, ept::host::HugePages::Never);
  const Mapping mapping{bytes(0, 2 * kPages * kPageSize), uvm::Frame{object.get(), 0}, Fill::Exact,
                        Protection::All};
  pmap->enter(mapping).value();
  std::uint64_t page = 0;
  for ([[maybe_unused]] auto _ : state) {
    if (page >= 2 * kPages) {
      state.PauseTiming();
      pmap->discard(mapping.range);
      pmap->enter(mapping).value();
      page = 0;
      state.ResumeTiming();
    }
    const auto frame = pmap->promote({Gpa(page * kPageSize), uvm::Frame{object.get(), page}}).value();
    pmap->enter({bytes(page * kPageSize, kPageSize), frame, Fill::Exact, Protection::All}).value();
    page += 2;
  }
}
BENCHMARK(promote_and_enter_over_shared)->Unit(benchmark::kMicrosecond);

void harvest_1_gib_one_percent_dirty(benchmark::State& state) {
  const auto huge = state.range(0) != 0 ? ept::host::HugePages::Want : ept::host::HugePages::Never;
  const auto object = make_object(kGiB, huge);
  const auto pmap = make_pmap(kGiB, huge);
  // Resident in the object and mapped for reading, as after a boot.
  pmap->enter({bytes(0, kGiB), uvm::Frame{object.get(), 0}, Fill::Exact, Protection::All}).value();
  for (std::uint64_t at = 0; at < kGiB; at += kPageSize) touch(*pmap, at);
  pmap->enter({bytes(0, kGiB), uvm::Frame{object.get(), 0}, Fill::CopyOnWrite, Protection::All}).value();
  std::uint64_t sum = 0;
  for (std::uint64_t at = 0; at < kGiB; at += kPageSize) {
    sum += static_cast<std::uint64_t>(pmap->bytes(bytes(at, kPageSize))[0]);
  }
  benchmark::DoNotOptimize(sum);
  // Clustered: 1 % of the pages, in one of eight regions of 2 MiB.
  for (std::uint64_t at = 0; at < kGiB; at += 16 * kMiB) {
    for (std::uint64_t page = 0; page < 41; ++page) touch(*pmap, at + page * 12 * kPageSize);
  }
  std::uint64_t pages = 0;
  for ([[maybe_unused]] auto _ : state) {
    pages = 0;
    pmap->harvest(bytes(0, kGiB), [&](GpaRange run, uvm::Frame) { pages += run.pages(); });
  }
  state.counters["pages"] = static_cast<double>(pages);
  state.SetLabel(object->has_huge_pages() ? "2M base" : "4K base");
}
BENCHMARK(harvest_1_gib_one_percent_dirty)->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond)->Iterations(50);

/// Drops 256 MiB of shared memory that is mapped, and enters it again.
void drop_all_256_mib(benchmark::State& state) {
  const auto huge = state.range(0) != 0 ? ept::host::HugePages::Want : ept::host::HugePages::Never;
  const std::uint64_t size = 256 * kMiB;
  const auto object = make_object(size, huge);
  const auto pmap = make_pmap(size, huge);
  const Mapping mapping{bytes(0, size), uvm::Frame{object.get(), 0}, Fill::Exact, Protection::All};
  for ([[maybe_unused]] auto _ : state) {
    state.PauseTiming();
    pmap->enter(mapping).value();
    for (std::uint64_t at = 0; at < size; at += kPageSize) touch(*pmap, at);
    state.ResumeTiming();
    pmap->drop_all();
    pmap->enter(mapping).value();
  }
  state.SetLabel(object->has_huge_pages() ? "2M pages" : "4K pages");
}
BENCHMARK(drop_all_256_mib)->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond)->Iterations(20);

/// A touch of a removed page, resolved by a thread that enters it again.
void event_round_trip(benchmark::State& state) {
  const auto object = make_object(kMiB, ept::host::HugePages::Never);
  const auto pmap = make_pmap(kMiB, ept::host::HugePages::Never);
  if (pmap->events() == nullptr) {
    state.SkipWithError("no events on this host");
    return;
  }
  const Mapping mapping{bytes(0, kMiB), uvm::Frame{object.get(), 0}, Fill::Exact, Protection::All};
  std::atomic<bool> stop{false};
  std::thread handler([&] {
    pollfd wait{pmap->events()->fd(), POLLIN, 0};
    while (!stop.load()) {
      (void)::poll(&wait, 1, 10);
      while (pmap->events()->next()) pmap->enter(mapping).value();
    }
  });
  for ([[maybe_unused]] auto _ : state) {
    pmap->drop_all();
    touch(*pmap, 0);
  }
  stop.store(true);
  handler.join();
}
BENCHMARK(event_round_trip)->Unit(benchmark::kMicrosecond)->UseRealTime();

constexpr std::uint64_t kWired = 256 * kMiB;

/// What wiring absent pages is held against: the host's own way to make them present and writable.
void populate_alone(benchmark::State& state) {
  for ([[maybe_unused]] auto _ : state) {
    void* at = ::mmap(nullptr, kWired, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ::madvise(at, kWired, MADV_NOHUGEPAGE);
    if (::madvise(at, kWired, MADV_POPULATE_WRITE) != 0) state.SkipWithError("no populate");
    state.PauseTiming();
    ::munmap(at, kWired);
    state.ResumeTiming();
  }
}
BENCHMARK(populate_alone)->Unit(benchmark::kMillisecond)->Iterations(5);

/// Wire and unwire of a space's RAM, absent before (0) or private already (1).
void wire_unwire(benchmark::State& state) {
  const auto pmap = make_pmap(kWired, ept::host::HugePages::Never);
  const auto space = uvm::Space::create("bench", *pmap, bytes(0, kWired)).value();
  const auto owner = uvm::PinOwner::create("bench");
  uvm::MapRequest request;
  request.range = bytes(0, kWired);
  request.overlap = uvm::Overlap::Replace;
  request.name = "ram";
  const auto pin = [&] {
    const auto held = uvm::Pin::create(*space, request.range, uvm::PinAccess::Write, owner);
    if (!held) state.SkipWithError(held.error().text().c_str());
  };
  space->map(request).value();
  if (state.range(0) == 1) pin();
  for ([[maybe_unused]] auto _ : state) {
    pin();
    if (state.range(0) == 1) continue;
    state.PauseTiming();
    space->map(request).value();
    state.ResumeTiming();
  }
}
BENCHMARK(wire_unwire)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond)->Iterations(5);

/// Bytes that malloc() gave, percent of a guest's memory: every page is an anon that a fork left in common,
/// in frames that make no large leaves, and is translated (0); a child has written a page of each chunk (1).
/// At most 0.4 for the first.
void metadata_of_anons(benchmark::State& state) {
  constexpr std::uint64_t kGuest = 64 * kMiB;
  // Counts what the allocator loses between pages of tables, too.
  const auto allocated = [] {
    const auto info = ::mallinfo2();
    return static_cast<double>(info.uordblks + info.hblkhd);
  };
  ept::host::Arena* const arena = ept::host::Arena::of_process().value();
  const uvm::Frame odd = arena->allocate().value();
  const double before = allocated();
  const auto pmap = make_pmap(kGuest, ept::host::HugePages::Never);
  auto space = uvm::Space::create("guest", *pmap, bytes(0, kGuest)).value();
  uvm::MapRequest request;
  request.range = bytes(0, kGuest);
  space->map(request).value();
  for (std::uint64_t at = 0; at < kGuest; at += kPageSize) touch(*pmap, at);
  const auto child_pmap = make_pmap(kGuest, ept::host::HugePages::Never);
  auto child = space->fork("child", *child_pmap).value();
  for ([[maybe_unused]] auto _ : state) {
    for (std::uint64_t at = 0; at < kGuest; at += kPageSize)
      space->fault(Gpa(at), uvm::AccessKind::Read).value();
  }
  if (state.range(0) == 1) {
    for (std::uint64_t at = 0; at < kGuest; at += uvm::kSlotsPerChunk * kPageSize) {
      child->fault(Gpa(at), uvm::AccessKind::Write).value();
    }
  }
  state.counters["percent"] = 100.0 * (allocated() - before) / static_cast<double>(kGuest);
  child.reset();
  space.reset();
  arena->free(odd);
}
BENCHMARK(metadata_of_anons)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond)->Iterations(1);

}  // namespace

BENCHMARK_MAIN();
