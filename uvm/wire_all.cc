#include "uvm/wire_all.h"

#include <iterator>
#include <new>

#include "uvm/space.h"

namespace uvm {

std::vector<std::pair<GpaRange, PinAccess>> WireAll::missing(const Space& space, GpaRange range) const {
  std::vector<std::pair<GpaRange, PinAccess>> parts;
  for (const EntryInfo& entry : space.entries(range)) {
    if (entry.protection == Protection::None || entry.tenure == Tenure::None) continue;
    const GpaRange part = entry.range.intersection(range);
    const PinAccess access =
        includes(entry.protection, Protection::Write) ? PinAccess::Write : PinAccess::Read;
    Gpa at = part.begin();
    const auto add_before = [&](Gpa end) {
      if (at < end) parts.emplace_back(*GpaRange::from_bounds(at, end), access);
    };
    const MutexLock lock(lock_);
    for (const GpaRange& held : held_.parts(part)) {
      add_before(held.begin());
      at = held.end();
    }
    add_before(part.end());
  }
  return parts;
}

Status WireAll::wire(Space& space, GpaRange range) {
  std::vector<Pin> made;
  for (const auto& [part, access] : missing(space, range)) {
    UVMM_TRY(Pin pin, Pin::create(space, part, access, owner_, policy_));
    made.push_back(std::move(pin));
  }
  const MutexLock lock(lock_);
  pins_.reserve(pins_.size() + made.size());
  std::vector<GpaRange> counted;
  counted.reserve(made.size());
  try {
    for (const Pin& pin : made) {
      held_.add(pin.range());
      counted.push_back(pin.range());
    }
  } catch (const std::bad_alloc&) {
    for (const GpaRange& part : counted) held_.remove(part);
    throw;
  }
  pins_.insert(pins_.end(), std::make_move_iterator(made.begin()), std::make_move_iterator(made.end()));
  return ok();
}

Status Space::wire_all(WireScope scope, std::shared_ptr<PinOwner> owner, ForkPolicy policy) try {
  auto all = std::make_shared<WireAll>(scope, std::move(owner), policy);
  {
    const MutexLock lock(wired_lock_);
    if (wired_) {
      return refuse(ErrorKind::Busy, "wire", limits_, "the space is wired as a whole already",
                    "end that first");
    }
    wired_ = all;
  }
  // From here on map() and protect() wire what they make, so that nothing is missed.
  if (scope == WireScope::Future) return ok();
  Status status;
  try {
    status = all->wire(*this, limits_);
  } catch (const std::bad_alloc&) {
    status = out_of_memory("wire", limits_);
  }
  if (!status) unwire_all();
  return status;
} catch (const std::bad_alloc&) {
  return out_of_memory("wire", limits_);
}

void Space::unwire_all() {
  std::shared_ptr<WireAll> ended;  // after the lock
  const MutexLock lock(wired_lock_);
  ended.swap(wired_);
}

Status Space::wire_new(GpaRange range) try {
  std::shared_ptr<WireAll> all;
  {
    const MutexLock lock(wired_lock_);
    all = wired_;
  }
  if (!all || !all->wires_future()) return ok();
  return all->wire(*this, range);
} catch (const std::bad_alloc&) {
  return out_of_memory("wire", range);
}

}  // namespace uvm
