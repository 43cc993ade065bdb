#include "uvm/wire.h"

#include <algorithm>
#include <new>

#include "uvm/base/runs.h"
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

/// Ranges so close that one look at the host for all is cheaper than one for each.
constexpr std::uint64_t kNear = 16 * kPageSize;

Error changing(const FaultContext& context, Gpa page) {
  return {ErrorKind::Busy,
          "space " + context.space + ": page at " + to_string(page) + ": its object keeps changing",
          "try again when nobody truncates or replaces it"};
}

}  // namespace

Wiring& Wiring::operator=(Wiring&& other) noexcept {
  if (this == &other) return *this;
  undo();
  runs_ = std::exchange(other.runs_, {});
  return *this;
}

Result<Wiring> Wiring::create(const FaultContext& context, std::span<const GpaRange> ranges,
                              AccessKind access) {
  Wiring wiring;
  auto found = look(context, ranges, access);
  if (bytes_of(found, &Found::range) != bytes_of(ranges)) {
    bool made = false;
    const auto make_zeros = [&](GpaRange absent) {
      made |= make_zeros_in(context, absent);
      return ok();
    };
    UVMM_CHECK(each_part(ranges, found, make_zeros, [](const Found&) { return ok(); }));
    if (made) found = look(context, ranges, access);
  }
  wiring.runs_.reserve(found.size());
  UVMM_CHECK(each_part(
      ranges, found, [&](GpaRange absent) { return wiring.wire_pages(context, absent, access); },
      [&](const Found& part) { return wiring.take(context, part); }));
  std::vector<GpaRange> in_place;
  in_place.reserve(wiring.runs_.size());
  for (const WiredRun& run : wiring.runs_) {
    if (!run.object) in_place.push_back(run.range);
  }
  if (!in_place.empty()) UVMM_CHECK(context.pmap.settle(in_place));
  return wiring;
}

std::vector<Wiring::Found> Wiring::look(const FaultContext& context, std::span<const GpaRange> ranges,
                                        AccessKind access) {
  std::vector<Found> found;
  found.reserve(ranges.size());
  const SharedLock lock(context.map.lock());
  while (!ranges.empty()) {
    const Entry* const entry = context.map.find(ranges.front().begin());
    if (entry == nullptr || !entry->range.contains(ranges.front())) {
      context.map.each(ranges.front(), [&](const Entry& part) {
        const GpaRange both = part.range.intersection(ranges.front());
        look_at(context, part, {&both, 1}, access, found);
      });
      ranges = ranges.subspan(1);
      continue;
    }
    std::size_t count = 1;
    while (count < ranges.size() && entry->range.contains(ranges[count]) &&
           ranges[count].begin() - ranges[count - 1].end() <= kNear) {
      ++count;
    }
    look_at(context, *entry, ranges.first(count), access, found);
    ranges = ranges.subspan(count);
  }
  return found;
}

void Wiring::look_at(const FaultContext& context, const Entry& entry, std::span<const GpaRange> ranges,
                     AccessKind access, std::vector<Found>& found) {
  if (!entry.has_layer()) {
    // The mapping does not tell when it writes: the backing has to know now.
    const bool writes = access == AccessKind::Write || includes(entry.protection, Protection::Write);
    for (const GpaRange& range : ranges) {
      found.push_back(
          {range,
           {},
           entry.object,
           {entry.offset_of(range.begin()), range.pages(), writes ? AccessKind::Write : AccessKind::Read}});
    }
    return;
  }
  if (entry.needs_copy) return;
  const LockedAmap amap(entry);
  if (amap.is_shared(entry)) return;
  auto range = ranges.begin();
  context.pmap.harvest_each(ranges, [&](GpaRange run, Frame first) {
    for (; range != ranges.end() && range->begin() < run.end(); ++range) {
      const GpaRange both = run.intersection(*range);
      if (!both.empty() && !amap.first_used(entry.slots_of(both))) {
        found.push_back({both, first + ((both.begin() - run.begin()) >> kPageShift), nullptr, {}});
      }
      if (range->end() > run.end()) return;  // the next run may be in it, too
    }
  });
}

template <class Absent, class There>
Status Wiring::each_part(std::span<const GpaRange> ranges, const std::vector<Found>& found, Absent&& absent,
                         There&& there) {
  auto next = found.begin();
  for (GpaRange range : ranges) {
    for (; next != found.end() && next->range.begin() < range.end(); ++next) {
      if (next->range.begin() != range.begin()) UVMM_CHECK(absent(range.before(next->range.begin())));
      UVMM_CHECK(there(*next));
      range = range.from(next->range.end());
    }
    if (!range.empty()) UVMM_CHECK(absent(range));
  }
  return ok();
}

Status Wiring::take(const FaultContext& context, const Found& part) {
  if (part.object) return wire_object(context, part);
  record({part.range, part.first, nullptr});
  return ok();
}

Status Wiring::wire_object(const FaultContext& context, const Found& part) {
  GpaRange left = part.range;
  PagerRequest request = part.request;
  const auto context_of = [&] {
    return "space " + context.space + ": " + to_string(request.access) + " at " + to_string(left.begin());
  };
  if (context.patience == Patience::Refuse && !part.object->answers_at_once()) {
    return Error(ErrorKind::Busy, context_of() + ": the page has to be brought in first");
  }
  for (int tries = 0; !left.empty(); ++tries) {
    if (tries == kMostTries) return changing(context, left.begin());
    auto frames = part.object->get(request);
    if (!frames) return std::move(frames).error().with_context(context_of());
    const FrameRun run = frames->run;
    if (part.object->hold(run, frames->generation) == Freshness::Stale) continue;
    const GpaRange held = *GpaRange::from_size(left.begin(), run.count << kPageShift);
    try {
      record({held, run.first, part.object});
    } catch (const std::bad_alloc&) {
      part.object->let_go(run);
      throw;
    }
    left = left.from(held.end());
    request.offset = request.offset + held.size();
    request.pages -= run.count;
    tries = -1;
  }
  return ok();
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
    const FrameRun run{wired.frame, 1};
    if (!wired.object || wired.object->hold(run, wired.generation) == Freshness::Current) {
      try {
        record({GpaRange::page_of(page), wired.frame, wired.object});
      } catch (const std::bad_alloc&) {
        if (wired.object) wired.object->let_go(run);
        throw;
      }
      return ok();
    }
  }
  return changing(context, page);
}

void Wiring::record(WiredRun run) {
  if (!runs_.empty()) {
    WiredRun& last = runs_.back();
    if (last.object == run.object && last.range.end() == run.range.begin() &&
        last.first + last.range.pages() == run.first) {
      last.range = *GpaRange::from_bounds(last.range.begin(), run.range.end());
      return;
    }
  }
  runs_.push_back(std::move(run));
}

void Wiring::undo() {
  for (; !runs_.empty(); runs_.pop_back()) {
    const WiredRun& run = runs_.back();
    if (run.object) run.object->let_go({run.first, run.range.pages()});
  }
}

}  // namespace uvm
