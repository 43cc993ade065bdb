#include "uvm/pin.h"

#include <algorithm>
#include <new>
#include <utility>

#include "uvm/base/runs.h"

namespace uvm {
namespace {

AccessKind fault_access(PinAccess access) {
  return access == PinAccess::Write ? AccessKind::Write : AccessKind::Read;
}

/// The pages of a list, each once: ascending and as few ranges as can be.
std::vector<GpaRange> each_once(std::span<const GpaRange> list) {
  std::vector<GpaRange> ranges(list.begin(), list.end());
  std::ranges::sort(ranges, {}, [](const GpaRange& range) { return range.begin(); });
  std::size_t last = 0;
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].begin() > ranges[last].end()) {
      ranges[++last] = ranges[i];
    } else {
      ranges[last] =
          *GpaRange::from_bounds(ranges[last].begin(), std::max(ranges[last].end(), ranges[i].end()));
    }
  }
  ranges.resize(last + 1);
  return ranges;
}

}  // namespace

Result<Pin> Pin::create(Space& space, GpaRange range, const PinRequest& request) {
  return create(space, std::span(&range, 1), request);
}

Result<Pin> Pin::create(Space& space, std::span<const GpaRange> list, const PinRequest& request) try {
  if (list.empty()) return Error(ErrorKind::Invalid, "space " + space.name() + ": pin of an empty list");
  for (const GpaRange& range : list) UVMM_CHECK(space.check_range(range, "pin"));
  std::vector<GpaRange> apart;  // stays empty for one range, the usual request
  if (list.size() > 1) apart = each_once(list);
  const std::span<const GpaRange> ranges = apart.empty() ? list : apart;
  const GpaRange all = *GpaRange::from_bounds(ranges.front().begin(), ranges.back().end());
  PinOwner& owner = *request.owner;
  const std::uint64_t bytes = bytes_of(ranges);
  if (!owner.charge(bytes)) {
    return space.refuse(ErrorKind::NoMemory, "pin", all,
                        owner.name() + " may pin " + hex(owner.limit()) + " bytes, and has " +
                            hex(owner.pinned()) + " pinned already",
                        "unpin other ranges of it, or raise its limit");
  }
  Pin pin;  // undoes from here on what is done so far
  pin.range_ = all;
  pin.charged_ = bytes;
  pin.pmap_ = &space.pmap_;
  pin.owner_ = request.owner;
  if (list.size() > 1) pin.list_.assign(list.begin(), list.end());
  if (request.placement == Placement::Shareable) {
    for (const GpaRange& range : ranges) UVMM_CHECK(space.place_shareable(range));
  }
  const auto context = [&] { return "pin " + to_string(all) + " for " + owner.name(); };
  const AccessKind access = fault_access(request.access);
  {
    // From here on the ranges are neither unmapped nor given to a child, so the pages found below stay.
    const SharedLock lock(space.map_.lock());
    UVMM_CHECK(space.check_pin(ranges, access, request.placement));
    auto id = space.pins_->add({all, request.access, request.policy, owner.name(), {}}, ranges);
    if (!id) return std::move(id).error().with_context("space " + space.name() + ": " + context());
    pin.id_ = *id;
    pin.table_ = space.pins_;
  }
  UVMM_CHECK(space.reclaim_.check_pins(all, space.pins_->statistics().bytes));
  auto wired = Wiring::create(space.fault_context(request.patience), ranges, access);
  if (!wired) return std::move(wired).error().with_context(context());
  pin.wiring_ = std::move(wired).value();
  pin.table_->made(pin.id_);
  return pin;
} catch (const std::bad_alloc&) {
  return space.out_of_memory("pin", list.front());
}

Pin& Pin::operator=(Pin&& other) noexcept {
  if (this == &other) return *this;
  release();
  owner_ = std::move(other.owner_);
  table_ = std::move(other.table_);
  id_ = other.id_;
  pmap_ = std::exchange(other.pmap_, nullptr);
  range_ = other.range_;
  list_ = std::move(other.list_);
  charged_ = other.charged_;
  wiring_ = std::move(other.wiring_);
  return *this;
}

void Pin::release() {
  wiring_ = Wiring();
  if (table_) table_->remove(id_);
  table_ = nullptr;
  if (owner_) owner_->refund(charged_);
  owner_ = nullptr;
}

Frame Pin::frame_at(Gpa address) const {
  const auto& runs = wiring_.runs();
  const auto next = std::upper_bound(runs.begin(), runs.end(), address,
                                     [](Gpa at, const WiredRun& run) { return at < run.range.begin(); });
  const WiredRun& run = *std::prev(next);
  return run.first + ((address - run.range.begin()) >> kPageShift);
}

std::vector<WiredRun> Pin::runs_of(GpaRange part) const {
  std::vector<WiredRun> found;
  const auto& runs = wiring_.runs();
  auto run = std::ranges::upper_bound(runs, part.begin(), {},
                                      [](const WiredRun& each) { return each.range.begin(); });
  if (run != runs.begin()) --run;
  for (; run != runs.end() && run->range.begin() < part.end(); ++run) {
    const GpaRange both = run->range.intersection(part);
    if (both.empty()) continue;
    found.push_back({both, run->first + ((both.begin() - run->range.begin()) >> kPageShift), run->object});
  }
  return found;
}

}  // namespace uvm
