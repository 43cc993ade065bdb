// What a space refuses because of pins, and what it says about them.
#include <string>
#include <utility>

#include "uvm/space.h"

namespace uvm {
namespace {

std::string pinned_by(const PinInfo& pin) {
  return "range " + to_string(pin.range) + " is pinned by " + pin.owner;
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
  bool in_place = false;
  pmap_.harvest(part, [&](GpaRange, Frame) { in_place = true; });
  if (!in_place) return ok();
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

EntryInfo Space::info(const Entry& entry) const {
  EntryInfo shown = entry.info();
  shown.wired = pins_->bytes(entry.range);
  return shown;
}

}  // namespace uvm
