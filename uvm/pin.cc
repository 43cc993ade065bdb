#include "uvm/pin.h"

#include <algorithm>
#include <new>
#include <utility>

namespace uvm {
namespace {

AccessKind fault_access(PinAccess access) {
  return access == PinAccess::Write ? AccessKind::Write : AccessKind::Read;
}

}  // namespace

Result<Pin> Pin::create(Space& space, GpaRange range, const PinRequest& request) try {
  UVMM_CHECK(space.check_range(range, "pin"));
  PinOwner& owner = *request.owner;
  const auto context = [&] { return "pin " + to_string(range) + " for " + owner.name(); };
  if (!owner.charge(range.size())) {
    return space.refuse(ErrorKind::NoMemory, "pin", range,
                        owner.name() + " may pin " + hex(owner.limit()) + " bytes, and has " +
                            hex(owner.pinned()) + " pinned already",
                        "unpin other ranges of it, or raise its limit");
  }
  Pin pin;  // undoes from here on what is done so far
  pin.range_ = range;
  pin.pmap_ = &space.pmap_;
  pin.owner_ = request.owner;
  if (request.placement == Placement::Shareable) UVMM_CHECK(space.place_shareable(range));
  {
    // From here on the range is neither unmapped nor given to a child, so the pages found below stay.
    const SharedLock lock(space.map_.lock());
    UVMM_CHECK(space.check_access(range, fault_access(request.access), "pin"));
    if (request.placement == Placement::Shareable) UVMM_CHECK(space.check_shareable(range));
    auto id = space.pins_->add({range, request.access, request.policy, owner.name(), {}});
    if (!id) return std::move(id).error().with_context("space " + space.name() + ": " + context());
    pin.id_ = *id;
    pin.table_ = space.pins_;
  }
  UVMM_CHECK(space.reclaim_.check_pins(range, space.pins_->statistics().bytes));
  auto wired = Wiring::create(space.fault_context(), range, fault_access(request.access));
  if (!wired) return std::move(wired).error().with_context(context());
  pin.wiring_ = std::move(wired).value();
  pin.table_->made(pin.id_);
  return pin;
} catch (const std::bad_alloc&) {
  return space.out_of_memory("pin", range);
}

Result<std::vector<Pin>> Pin::create(Space& space, std::span<const GpaRange> ranges,
                                     const PinRequest& request) try {
  std::vector<Pin> pins;
  pins.reserve(ranges.size());
  for (const GpaRange& range : ranges) {
    UVMM_TRY(Pin pin, create(space, range, request));
    pins.push_back(std::move(pin));
  }
  return pins;
} catch (const std::bad_alloc&) {
  return space.out_of_memory("pin", ranges.front());
}

Pin& Pin::operator=(Pin&& other) noexcept {
  if (this == &other) return *this;
  release();
  owner_ = std::move(other.owner_);
  table_ = std::move(other.table_);
  id_ = other.id_;
  pmap_ = std::exchange(other.pmap_, nullptr);
  range_ = other.range_;
  wiring_ = std::move(other.wiring_);
  return *this;
}

void Pin::release() {
  wiring_ = Wiring();
  if (table_) table_->remove(id_);
  table_ = nullptr;
  if (owner_) owner_->refund(range_.size());
  owner_ = nullptr;
}

Frame Pin::frame_at(Gpa address) const {
  const auto& runs = wiring_.runs();
  const auto next = std::upper_bound(runs.begin(), runs.end(), address,
                                     [](Gpa at, const WiredRun& run) { return at < run.range.begin(); });
  const WiredRun& run = *std::prev(next);
  return run.first + ((address - run.range.begin()) >> kPageShift);
}

}  // namespace uvm
