// What a space refuses because of pins, and what it says about them.
#include <new>
#include <string>
#include <utility>

#include "uvm/space.h"
#include "uvm/space_fork.h"

namespace uvm {
namespace {

std::string pinned_by(const PinInfo& pin) {
  return "range " + to_string(pin.range) + " is pinned by " + pin.owner;
}

bool has_pages_in_place(Pmap& pmap, GpaRange range) {
  bool found = false;
  pmap.harvest(range, [&](GpaRange, Frame) { found = true; });
  return found;
}

}  // namespace

Status Space::check_not_pinned(GpaRange range, const char* operation) const {
  if (const auto pin = pins_->overlapping(range)) {
    return refuse(ErrorKind::Pinned, operation, range, pinned_by(*pin), "unpin it, or leave that range out");
  }
  return ok();
}

Status Space::check_access(GpaRange range, AccessKind access, const char* operation) const {
  UVMM_CHECK(check_mapped(range, operation));
  const Entry* forbids = nullptr;
  map_.each(range, [&](const Entry& entry) {
    if (forbids == nullptr && !includes(entry.protection, needed(access))) forbids = &entry;
  });
  if (forbids == nullptr) return ok();
  return refuse(ErrorKind::Protection, operation, range,
                *forbids->name + " at " + to_string(forbids->range) + " is " +
                    to_string(forbids->protection) + ", which does not allow to " + to_string(access));
}

Status Space::check_pin(std::span<const GpaRange> ranges, AccessKind access, Placement placement) const {
  const Entry* last = nullptr;
  for (const GpaRange& range : ranges) {
    // The ranges of a list are often in one entry, which has been asked then.
    if (last != nullptr && last->range.contains(range)) continue;
    UVMM_CHECK(check_access(range, access, "pin"));
    if (placement == Placement::Shareable) UVMM_CHECK(check_shareable(range));
    last = map_.find(range.begin());
  }
  return ok();
}

Status Space::check_movable(GpaRange range, const char* operation) const {
  for (const GpaRange& part : pins_->parts(range)) {
    if (has_pages_in_place(pmap_, part)) UVMM_CHECK(check_not_pinned(part, operation));
  }
  return ok();
}

Status Space::check_fork_of(const Entry& entry, const PinInfo& pin) const {
  if (entry.inherit == Inherit::None || entry.inherit == Inherit::Zero) return ok();
  const GpaRange part = entry.range.intersection(pin.range);
  if (pin.policy == ForkPolicy::Quiesce) {
    return refuse(ErrorKind::Pinned, "fork", part, pinned_by(pin) + ", which has to stop first",
                  "stop it, unpin the range, and try again");
  }
  if (pin.policy == ForkPolicy::Refuse) {
    return refuse(ErrorKind::Pinned, "fork", part, pinned_by(pin) + ", which forbids it",
                  "unpin it, or have the range inherited as none or zeros");
  }
  if (entry.inherit != Inherit::Share || !entry.has_layer()) return ok();
  if (!has_pages_in_place(pmap_, part)) return ok();
  return refuse(ErrorKind::Pinned, "fork", part, pinned_by(pin) + " where no other space could use it",
                "unpin it, or have the range inherited as a copy");
}

Status Space::check_fork_pins() const {
  for (const PinInfo& pin : pins_->list()) {
    Status status;
    map_.each(pin.range, [&](const Entry& entry) {
      if (status) status = check_fork_of(entry, pin);
    });
    UVMM_CHECK(std::move(status));
  }
  return ok();
}

Status Space::check_shareable(GpaRange range) const {
  bool is_shareable = true;
  map_.each(range, [&](const Entry& entry) {
    if (entry.has_layer() && entry.placement != Placement::Shareable) is_shareable = false;
  });
  if (is_shareable) return ok();
  return refuse(ErrorKind::Busy, "pin", range, "it was mapped anew meanwhile", "try again");
}

Status Space::place_shareable(GpaRange range) {
  if (reclaim_.is_limited()) {
    return refuse(ErrorKind::Unsupported, "pin", range,
                  "pages for other processes cannot be counted within a memory limit",
                  "set no limit, or pin for this process only");
  }
  SpaceFork group({map_, pmap_, *pins_}, {map_, pmap_});
  const ExclusiveLock lock(map_.lock());
  UVMM_CHECK(check_mapped(range, "pin"));
  if (check_shareable(range)) return ok();
  UVMM_CHECK(check_not_open(range, "pin"));
  UVMM_CHECK(check_movable(range, "pin"));
  map_.clip(range);
  Status status;
  const auto place = [&](Entry& entry) NO_THREAD_SAFETY_ANALYSIS {
    if (!status || !entry.has_layer() || entry.placement == Placement::Shareable) return;
    status = group.make_shareable(entry);
    if (status) entry.placement = Placement::Shareable;
  };
  try {
    map_.each_for_change(range, place);
  } catch (const std::bad_alloc&) {
    map_.merge(range);
    throw;
  }
  map_.merge(range);
  if (status) return ok();
  return std::move(status).error().with_context("space " + name_ + ": pin " + to_string(range));
}

EntryInfo Space::info(const Entry& entry) const {
  EntryInfo shown = entry.info();
  shown.wired = pins_->bytes(entry.range);
  return shown;
}

}  // namespace uvm
