#include "uvm/fault_plan.h"

namespace uvm {
namespace {

/// Whether the fault is held against max_protection.
bool asks_for_most(FaultKind kind) {
  return kind != FaultKind::Plain && kind != FaultKind::Wire;
}

/// What a reader who leaves no trace finds.
FaultPlan plan_peek(const FaultFacts& facts, FaultPlan plan) {
  if (facts.slot == SlotState::Swapped) {
    // The one trace it may leave: the page is in memory afterwards.
    plan.what = facts.needs_copy ? FaultCase::CopyAmap : FaultCase::PageIn;
    plan.placement = facts.amap_shared ? Placement::Shareable : Placement::InPlace;
  } else if (facts.slot != SlotState::Empty) {
    plan.what = FaultCase::UseAnon;
  } else {
    plan.what = facts.has_object ? FaultCase::UseObject : FaultCase::ZeroFill;
  }
  return plan;
}

/// Whether the resolved page has to take a write. A wiring fault prepares for every write the mapping (Wire)
/// or any later state of it (WireMax) could allow: that is all there is to the rule of 2001. A page that
/// others can take away is no page to wire either, so WireMax copies it where there is a layer for copies.
bool prepares_for_write(const FaultFacts& facts) {
  switch (facts.kind) {
    case FaultKind::Plain:
    case FaultKind::Peek:
    case FaultKind::Poke:
      return facts.access == AccessKind::Write;
    case FaultKind::Wire:
      return includes(facts.protection, Protection::Write);
    case FaultKind::WireMax:
      return includes(facts.max_protection, Protection::Write) ||
             (facts.revocable && facts.sharing == Sharing::Private);
  }
  return true;
}

/// Whether the host may break copy-on-write or fill zeros in this mapping: the page it makes belongs to one
/// address of one space, so nobody else may have to see it, a wiring fault has to know the frame, and a
/// memory limit counts it before it is there.
bool host_may_finish(const FaultFacts& facts) {
  return facts.kind == FaultKind::Plain && !facts.amap_shared && !facts.needs_copy && !facts.limited;
}

/// How a private page is entered that is not left to the host.
Fill fill_of_own_page(const FaultFacts& facts) {
  return facts.limited && !facts.amap_shared ? Fill::Present : Fill::Exact;
}

FaultPlan plan_upper(const FaultFacts& facts, bool writes, FaultPlan plan) {
  switch (facts.slot) {
    case SlotState::Borrowed:
      if (writes) {
        plan.what = FaultCase::CopyAnon;
        plan.fill = fill_of_own_page(facts);
        return plan;
      }
      plan.what = FaultCase::UseAnon;
      plan.rights = without(plan.rights, Protection::Write);
      return plan;
    case SlotState::InPlace:
      // Sharers could not see it there. Fork moves such pages first; one that is found all the same moves
      // now.
      plan.what = facts.amap_shared ? FaultCase::CopyAnon : FaultCase::UseAnon;
      plan.fill = fill_of_own_page(facts);
      if (!host_may_finish(facts)) return plan;
      if (!facts.has_object) plan.fill = Fill::Zero;
      if (facts.has_object && includes(plan.rights, Protection::Write)) plan.fill = Fill::CopyOnWrite;
      return plan;
    case SlotState::Swapped:
      plan.what = FaultCase::PageIn;
      plan.fill = fill_of_own_page(facts);
      return plan;
    case SlotState::Alone:
    case SlotState::Empty:
      plan.what = FaultCase::UseAnon;
      return plan;
  }
  return plan;
}

FaultPlan plan_lower(const FaultFacts& facts, bool writes, FaultPlan plan) {
  if (!facts.has_object) {
    plan.what = FaultCase::ZeroFill;
    plan.fill = host_may_finish(facts) ? Fill::Zero : fill_of_own_page(facts);
    return plan;
  }
  plan.what = FaultCase::UseObject;
  if (facts.sharing == Sharing::Shared) return plan;
  if (host_may_finish(facts) && includes(plan.rights, Protection::Write)) {
    plan.fill = Fill::CopyOnWrite;
    return plan;
  }
  if (writes) {
    plan.what = FaultCase::CopyObject;
    plan.fill = fill_of_own_page(facts);
    return plan;
  }
  plan.rights = without(plan.rights, Protection::Write);
  return plan;
}

}  // namespace

FaultPlan plan_fault(const FaultFacts& facts) {
  FaultPlan plan;
  const Protection allowed = asks_for_most(facts.kind) ? facts.max_protection : facts.protection;
  if (!includes(allowed, needed(facts.access))) return plan;
  if (facts.kind == FaultKind::Peek) return plan_peek(facts, plan);

  const bool writes = prepares_for_write(facts);
  // Zeros cannot be shown without a page to hold them, so an entry without object copies its amap for a read
  // as well, unless the page is there. What comes from swap is a new page.
  const bool makes_page =
      writes || facts.slot == SlotState::Swapped || (!facts.has_object && facts.slot == SlotState::Empty);
  if (facts.needs_copy && makes_page) {
    plan.what = FaultCase::CopyAmap;
    return plan;
  }
  plan.rights = facts.needs_copy ? without(facts.protection, Protection::Write) : facts.protection;
  plan.placement = facts.amap_shared ? Placement::Shareable : Placement::InPlace;
  return facts.slot == SlotState::Empty ? plan_lower(facts, writes, plan) : plan_upper(facts, writes, plan);
}

}  // namespace uvm
