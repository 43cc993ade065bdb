#include "uvm/wire.h"

#include <algorithm>
#include <new>

#include "uvm/locked_amap.h"

namespace uvm {
namespace {

/// How often a page may vanish between a pager's answer and our hold on it.
constexpr int kMostTries = 64;
/// Bytes that the host makes before others get the map and the pmap.
constexpr std::uint64_t kAtOnce = std::uint64_t{2} << 20;

/// Whether every page of `part` that is not there yet would be zeros of the entry's own, in place.
bool is_zeros_in_place(const FaultContext& context, const Entry& entry, const LockedAmap& amap,
                       GpaRange part) {
  if (entry.object || entry.needs_copy || amap.is_shared(entry)) return false;
  if (entry.placement == Placement::Shareable) return false;
  if (amap.first_used(entry.slots_of(part))) return false;
  const auto found = context.pmap.extract(part.begin());
  return found && found->fill == Fill::Zero && includes(found->rights, Protection::Write);
}

/// Lets the host make at once the zeros that it may make by itself: one by one, each takes a fault and
/// several calls. What it does not make is made by those faults, and what fails here is told by them. Whether
/// the host was asked.
bool make_zeros_in(const FaultContext& context, GpaRange range) {
  bool asked = false;
  while (!range.empty()) {
    const SharedLock lock(context.map.lock());
    const Entry* entry = context.map.find(range.begin());
    if (entry == nullptr || context.reclaim.is_limited()) return asked;
    const GpaRange part =
        range.before(std::min(range.end(), range.begin() + kAtOnce)).intersection(entry->range);
    const LockedAmap amap(*entry);
    if (is_zeros_in_place(context, *entry, amap, part)) {
      static_cast<void>(context.pmap.fill(part, {}));
      asked = true;
    }
    range = range.from(part.end());
  }
  return asked;
}

/// The same between the private runs of a range.
bool make_zeros(const FaultContext& context, GpaRange range,
                const std::vector<std::pair<GpaRange, Frame>>& there) {
  bool asked = false;
  for (const auto& [run, first] : there) {
    asked |= make_zeros_in(context, range.before(run.begin()));
    range = range.from(run.end());
  }
  return make_zeros_in(context, range) || asked;
}

}  // namespace

Wiring& Wiring::operator=(Wiring&& other) noexcept {
  if (this == &other) return *this;
  undo();
  runs_ = std::exchange(other.runs_, {});
  return *this;
}

Result<Wiring> Wiring::create(const FaultContext& context, GpaRange range, AccessKind access) {
  Wiring wiring;
  const GpaRange all = range;
  auto there = private_runs(context, range);
  if (make_zeros(context, range, there)) there = private_runs(context, range);
  for (const auto& [run, first] : there) {
    UVMM_CHECK(wiring.wire_pages(context, range.before(run.begin()), access));
    wiring.record(run, {first, nullptr, 0});
    range = range.from(run.end());
  }
  UVMM_CHECK(wiring.wire_pages(context, range, access));
  UVMM_CHECK(context.pmap.settle(all));
  return wiring;
}

std::vector<Wiring::PrivateRun> Wiring::private_runs(const FaultContext& context, GpaRange range) {
  std::vector<PrivateRun> runs;
  const SharedLock lock(context.map.lock());
  context.map.each(range, [&](const Entry& entry) {
    if (!entry.has_layer() || entry.needs_copy) return;
    const LockedAmap amap(entry);
    if (amap.is_shared(entry)) return;
    context.pmap.harvest(entry.range.intersection(range), [&](GpaRange run, Frame first) {
      if (!amap.first_used(entry.slots_of(run))) runs.emplace_back(run, first);
    });
  });
  return runs;
}

Status Wiring::wire_pages(const FaultContext& context, GpaRange range, AccessKind access) {
  for (Gpa page = range.begin(); page < range.end(); page += kPageSize) {
    UVMM_CHECK(wire_page(context, page, access));
  }
  return ok();
}

Status Wiring::wire_page(const FaultContext& context, Gpa page, AccessKind access) {
  for (int i = 0; i < kMostTries; ++i) {
    Fault fault(context, page, access, FaultKind::WireMax);
    count(context.counters.faults);
    if (auto resolved = fault.resolve(); !resolved) {
      count(context.counters.refused);
      return std::move(resolved).error();
    }
    const WiredPage& wired = *fault.wired();
    // A private page stays because the range is pinned; an object's page because its pager is told.
    if (!wired.object || wired.object->hold(wired.frame, wired.generation) == Freshness::Current) {
      try {
        record(GpaRange::page_of(page), wired);
      } catch (const std::bad_alloc&) {
        if (wired.object) wired.object->let_go(wired.frame);
        throw;
      }
      return ok();
    }
  }
  return Error(ErrorKind::Busy,
               "space " + context.space + ": page at " + to_string(page) + ": its object keeps changing",
               "try again when nobody truncates or replaces it");
}

void Wiring::record(GpaRange range, const WiredPage& first) {
  if (!runs_.empty()) {
    WiredRun& last = runs_.back();
    if (last.object == first.object && last.first + last.range.pages() == first.frame) {
      last.range = *GpaRange::from_bounds(last.range.begin(), range.end());
      return;
    }
  }
  runs_.push_back({range, first.frame, first.object});
}

void Wiring::undo() {
  for (; !runs_.empty(); runs_.pop_back()) {
    const WiredRun& run = runs_.back();
    if (!run.object) continue;
    for (std::uint64_t i = run.range.pages(); i > 0; --i) run.object->let_go(run.first + (i - 1));
  }
}

}  // namespace uvm
