#include "uvm/fault_plan.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace uvm {
namespace fault_plan_test {

constexpr Protection kProtections[] = {Protection::None, Protection::Read, Protection::ReadWrite,
                                       Protection::ReadExecute, Protection::All};

/// Combinations that cannot come about: they are not asked for.
bool is_possible(const FaultFacts& f) {
  if (!includes(f.max_protection, f.protection)) return false;
  if (!f.has_amap && (f.needs_copy || f.amap_shared)) return false;
  if (f.needs_copy && f.amap_shared) return false;
  const bool is_anon = f.slot == SlotState::Alone || f.slot == SlotState::Borrowed;
  if (is_anon && !f.has_amap) return false;
  if (f.revocable && !f.has_object) return false;
  const bool has_layer = !f.has_object || f.sharing == Sharing::Private;
  return has_layer || (!f.has_amap && f.slot == SlotState::Empty);
}

std::vector<FaultFacts> every_fact() {
  std::vector<FaultFacts> all;
  for (const auto access : {AccessKind::Read, AccessKind::Write, AccessKind::Execute}) {
    for (const auto kind : {FaultKind::Plain, FaultKind::Wire, FaultKind::WireMax}) {
      for (const auto protection : kProtections) {
        for (const auto most : kProtections) {
          for (const auto slot :
               {SlotState::Empty, SlotState::InPlace, SlotState::Alone, SlotState::Borrowed}) {
            for (unsigned bits = 0; bits < 64; ++bits) {
              FaultFacts f{access, kind, protection, most};
              f.sharing = (bits & 1U) != 0 ? Sharing::Shared : Sharing::Private;
              f.has_object = (bits & 2U) != 0;
              f.has_amap = (bits & 4U) != 0;
              f.needs_copy = (bits & 8U) != 0;
              f.amap_shared = (bits & 16U) != 0;
              f.revocable = (bits & 32U) != 0;
              f.slot = slot;
              if (is_possible(f)) all.push_back(f);
            }
          }
        }
      }
    }
  }
  return all;
}

std::string print(const FaultFacts& f) {
  return std::string("access ") + to_string(f.access) + " kind " + std::to_string(static_cast<int>(f.kind)) +
         " protection " + to_string(f.protection) + "/" + to_string(f.max_protection) + " shared " +
         std::to_string(f.sharing == Sharing::Shared) + " object " + std::to_string(f.has_object) +
         " revocable " + std::to_string(f.revocable) + " amap " + std::to_string(f.has_amap) +
         " needs_copy " + std::to_string(f.needs_copy) + " amap_shared " + std::to_string(f.amap_shared) +
         " slot " + std::to_string(static_cast<int>(f.slot));
}

/// The rule in one line each, checked over every combination.
class FaultPlanRules : public ::testing::Test {
 protected:
  template <class F>
  void for_every(F&& check) {
    const auto all = every_fact();
    EXPECT_GT(all.size(), 3000U);
    for (const FaultFacts& f : all) {
      SCOPED_TRACE(print(f));
      check(f, plan_fault(f));
      if (HasFailure()) return;
    }
  }
  static Protection asked(const FaultFacts& f) {
    return f.kind == FaultKind::WireMax ? f.max_protection : f.protection;
  }
  static bool writes(const FaultFacts& f) {
    if (f.kind == FaultKind::Plain) return f.access == AccessKind::Write;
    return includes(asked(f), Protection::Write) || takes_a_copy(f);
  }
  /// Others could take the page away, and there is a layer for a copy.
  static bool takes_a_copy(const FaultFacts& f) {
    return f.kind == FaultKind::WireMax && f.revocable && f.sharing == Sharing::Private;
  }
};

TEST_F(FaultPlanRules, AnAccessIsRefusedExactlyWhenTheRightIsMissing) {
  for_every([&](const FaultFacts& f, const FaultPlan& plan) {
    EXPECT_EQ(plan.what == FaultCase::NotAllowed, !includes(asked(f), needed(f.access)));
  });
}

TEST_F(FaultPlanRules, WireMaxUsesNoPageThatOthersCanTake) {
  for_every([&](const FaultFacts& f, const FaultPlan& plan) {
    if (!takes_a_copy(f)) return;
    EXPECT_NE(plan.what, FaultCase::UseObject);
  });
}

TEST_F(FaultPlanRules, RightsNeverExceedTodaysProtection) {
  for_every(
      [&](const FaultFacts& f, const FaultPlan& plan) { EXPECT_TRUE(includes(f.protection, plan.rights)); });
}

TEST_F(FaultPlanRules, APlainAccessSucceedsAfterwards) {
  for_every([&](const FaultFacts& f, const FaultPlan& plan) {
    if (f.kind != FaultKind::Plain || plan.what == FaultCase::NotAllowed) return;
    if (plan.what == FaultCase::CopyAmap) return;
    EXPECT_TRUE(includes(plan.rights, needed(f.access)));
  });
}

TEST_F(FaultPlanRules, NobodyWritesWhatOthersSee) {
  for_every([&](const FaultFacts& f, const FaultPlan& plan) {
    if (!includes(plan.rights, Protection::Write)) return;
    EXPECT_FALSE(f.needs_copy);
    if (plan.what == FaultCase::UseObject) {
      EXPECT_TRUE(f.sharing == Sharing::Shared || plan.fill == Fill::CopyOnWrite);
    }
    if (plan.what == FaultCase::UseAnon) {
      EXPECT_NE(f.slot, SlotState::Borrowed);
    }
  });
}

TEST_F(FaultPlanRules, TheAmapIsCopiedExactlyWhenItMustChange) {
  for_every([&](const FaultFacts& f, const FaultPlan& plan) {
    if (plan.what == FaultCase::NotAllowed) return;
    const bool changes = writes(f) || (!f.has_object && f.slot == SlotState::Empty);
    EXPECT_EQ(plan.what == FaultCase::CopyAmap, f.needs_copy && changes);
  });
}

TEST_F(FaultPlanRules, TheHostFinishesOnlyWhatIsOursAloneAndUnwired) {
  for_every([&](const FaultFacts& f, const FaultPlan& plan) {
    if (plan.fill == Fill::Exact) return;
    EXPECT_EQ(f.kind, FaultKind::Plain);
    EXPECT_FALSE(f.amap_shared);
    EXPECT_FALSE(f.needs_copy);
    EXPECT_EQ(plan.fill == Fill::Zero, !f.has_object);
    if (plan.fill == Fill::CopyOnWrite) {
      EXPECT_TRUE(includes(plan.rights, Protection::Write));
    }
  });
}

TEST_F(FaultPlanRules, WhatOthersHaveToSeeIsShareable) {
  for_every([&](const FaultFacts& f, const FaultPlan& plan) {
    if (plan.what != FaultCase::CopyAnon && plan.what != FaultCase::CopyObject &&
        plan.what != FaultCase::ZeroFill) {
      return;
    }
    EXPECT_EQ(plan.placement == Placement::Shareable, f.amap_shared);
  });
}

// The rule of 2001-12-31: whatever a later right could make somebody copy is copied when it is wired.
TEST_F(FaultPlanRules, WireMaxLeavesNothingToCopyLater) {
  for_every([&](const FaultFacts& f, const FaultPlan& plan) {
    if (f.kind != FaultKind::WireMax || !includes(f.max_protection, Protection::Write)) return;
    if (plan.what == FaultCase::NotAllowed || plan.what == FaultCase::CopyAmap) return;
    if (f.has_object && f.sharing == Sharing::Shared) {
      EXPECT_EQ(plan.what, FaultCase::UseObject);
    } else {
      EXPECT_NE(plan.what, FaultCase::UseObject);
      if (plan.what == FaultCase::UseAnon) {
        EXPECT_NE(f.slot, SlotState::Borrowed);
      }
    }
  });
}

struct Row {
  const char* name;
  FaultFacts facts;
  FaultPlan plan;
};

FaultFacts facts(AccessKind access, FaultKind kind, Protection protection, SlotState slot, bool has_object) {
  FaultFacts f{access, kind, protection, Protection::All};
  f.slot = slot;
  f.has_object = has_object;
  f.has_amap = slot == SlotState::Alone || slot == SlotState::Borrowed;
  return f;
}

TEST(FaultPlanTest, TheTableRowByRow) {
  using A = AccessKind;
  using K = FaultKind;
  using P = Protection;
  using S = SlotState;
  using C = FaultCase;
  const Row rows[] = {
      {"1A read", facts(A::Read, K::Plain, P::ReadWrite, S::Alone, true), {C::UseAnon, P::ReadWrite}},
      {"1A write", facts(A::Write, K::Plain, P::ReadWrite, S::Alone, true), {C::UseAnon, P::ReadWrite}},
      {"1A read of a borrowed one",
       facts(A::Read, K::Plain, P::ReadWrite, S::Borrowed, true),
       {C::UseAnon, P::Read}},
      {"1A in place, over an object",
       facts(A::Write, K::Plain, P::ReadWrite, S::InPlace, true),
       {C::UseAnon, P::ReadWrite, Fill::CopyOnWrite}},
      {"1A in place, zeros below",
       facts(A::Read, K::Plain, P::Read, S::InPlace, false),
       {C::UseAnon, P::Read, Fill::Zero}},
      {"1A in place, read-only over an object",
       facts(A::Read, K::Plain, P::Read, S::InPlace, true),
       {C::UseAnon, P::Read, Fill::Exact}},
      {"1B", facts(A::Write, K::Plain, P::ReadWrite, S::Borrowed, true), {C::CopyAnon, P::ReadWrite}},
      {"2A read-only text",
       facts(A::Execute, K::Plain, P::ReadExecute, S::Empty, true),
       {C::UseObject, P::ReadExecute}},
      {"2A left to the host",
       facts(A::Read, K::Plain, P::ReadWrite, S::Empty, true),
       {C::UseObject, P::ReadWrite, Fill::CopyOnWrite}},
      {"2B left to the host",
       facts(A::Write, K::Plain, P::ReadWrite, S::Empty, true),
       {C::UseObject, P::ReadWrite, Fill::CopyOnWrite}},
      {"2B zeros, left to the host",
       facts(A::Read, K::Plain, P::All, S::Empty, false),
       {C::ZeroFill, P::All, Fill::Zero}},
      {"Wire of text keeps the object's page",
       facts(A::Read, K::Wire, P::ReadExecute, S::Empty, true),
       {C::UseObject, P::ReadExecute}},
      {"WireMax of text copies it, and it stays text",
       facts(A::Read, K::WireMax, P::ReadExecute, S::Empty, true),
       {C::CopyObject, P::ReadExecute}},
      {"WireMax of zeros", facts(A::Read, K::WireMax, P::Read, S::Empty, false), {C::ZeroFill, P::Read}},
      {"WireMax of a borrowed page",
       facts(A::Read, K::WireMax, P::Read, S::Borrowed, true),
       {C::CopyAnon, P::Read}},
  };
  for (const Row& row : rows) {
    EXPECT_TRUE(plan_fault(row.facts) == row.plan) << row.name;
  }
}

TEST(FaultPlanTest, SharedObjectPagesAreWrittenInPlace) {
  FaultFacts f = facts(AccessKind::Write, FaultKind::Plain, Protection::ReadWrite, SlotState::Empty, true);
  f.sharing = Sharing::Shared;
  EXPECT_TRUE(plan_fault(f) == (FaultPlan{FaultCase::UseObject, Protection::ReadWrite}));
}

TEST(FaultPlanTest, ASharedAmapGetsShareablePages) {
  FaultFacts f = facts(AccessKind::Write, FaultKind::Plain, Protection::ReadWrite, SlotState::Empty, true);
  f.has_amap = f.amap_shared = true;
  EXPECT_TRUE(plan_fault(f) ==
              (FaultPlan{FaultCase::CopyObject, Protection::ReadWrite, Fill::Exact, Placement::Shareable}));
}

}  // namespace fault_plan_test
}  // namespace uvm
