// Peek and Poke: a page's bytes by its frame, under the locks that keep the frame where it is, and without a
// translation. That is what lets a debugger read without leaving a trace and write what the guest may not.
#include <utility>

#include "uvm/fault.h"

namespace uvm {

Status Fault::check_reach(const Entry& entry) const {
  const bool reaches_object = kind_ == FaultKind::Poke && entry.object && !entry.is_private();
  if (!reaches_object || visit_.shared == SharedWrites::Allow) return ok();
  return Error(ErrorKind::Protection,
               place() + ": mapping " + *entry.name + " at " + to_string(entry.range) +
                   " is a shared mapping of " + std::string(entry.object->name()) +
                   ", and everybody who maps it would see the write",
               "write to it on purpose with SharedWrites::Allow");
}

std::optional<Frame> Fault::private_frame(const Entry& entry, const LockedAmap& amap) const {
  const auto anon = amap.find(entry.slot_of(page_));
  return anon ? anon->frame() : context_.pmap.harvest_page(page_);
}

Result<Fault::Next> Fault::visit(std::optional<Frame> frame) {
  if (kind_ == FaultKind::Poke && !frame) return Next::Again;
  if (auto used = (*visit_.use)(frame); !used) return std::move(used).error().with_context(place());
  entered_ = GpaRange::page_of(page_);
  return Next::Done;
}

Result<Fault::Next> Fault::visit_object(const Entry& entry, const FaultPlan& plan) {
  if (!is_answered(entry)) return ask(entry, 1, 0, plan);
  const Frame frame = answered_frame(entry);
  if (entry.object->hold({frame, 1}, answer_->frames.generation) == Freshness::Stale) {
    answer_.reset();
    return Next::Again;
  }
  auto next = visit(frame);
  entry.object->let_go({frame, 1});
  return next;
}

}  // namespace uvm
