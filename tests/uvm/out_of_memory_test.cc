// Every public operation with host memory exhausted at every allocation, and with a pmap that has no more
// room: nothing is half done, the error says so, and the operation succeeds when it is repeated.
#include <gtest/gtest.h>

#include <array>
#include <utility>

#include "tests/uvm/world.h"

namespace test {
namespace out_of_memory_test {

using uvm::AccessKind;
using uvm::ErrorKind;
using uvm::FaultKind;
using uvm::Inherit;
using uvm::Protection;
using uvm::Sharing;
using uvm::Status;

/// Sixteen pages of RAM, the third and the fourth written.
void some_ram(World& w) {
  EXPECT_OK(w.space->map(ram(pages(0, 16))));
  w.write(3, 3);
  w.write(4, 4);
}
/// Three chunks of slots, each with a page that parent and child have in common, and the parent's own copy of
/// one of them.
void forked_ram(World& w) {
  EXPECT_OK(w.space->map(ram(pages(0, 3 * uvm::kSlotsPerChunk))));
  w.write(3, 3);
  w.write(1200, 4);
  w.write(1201, 5);
  w.write(2100, 6);
  w.fork_other();
}
void own_layer(World& w) {
  forked_ram(w);
  w.write(3, 7);
}
void shared_ram(World& w) {
  some_ram(w);
  EXPECT_OK(w.space->inherit(pages(0, 16), Inherit::Share));
  w.fork_other();
  EXPECT_OK(w.space->inherit(pages(0, 16), Inherit::Copy));
}
void private_object(World& w) {
  EXPECT_OK(w.space->map(over(pages(0, 16), w.object)));
  w.write(3, 3);
}
void shared_object(World& w) {
  EXPECT_OK(w.space->map(over(pages(0, 16), w.object, Sharing::Shared)));
}
void text_of_object(World& w) {
  EXPECT_OK(w.space->map(text(pages(0, 16), w.object)));
}
void nothing(World&) {}
void drop(World& w) {
  w.space->drop_translations();
}

Status fault(World& w, std::uint64_t number, AccessKind access, FaultKind kind = FaultKind::Plain) {
  return w.space->fault(page(number), access, kind);
}

const std::vector<Operation>& map_operations() {
  static const std::vector<Operation> rows = {
      {"map_ram", "0x0+0x10000", nothing, [](World& w) { return w.space->map(ram(pages(0, 16))); },
       [](World& w) { EXPECT_TRUE(shows(*w.space, 5, 0)); }},
      {"map_object", "0x0+0x10000", nothing,
       [](World& w) { return w.space->map(over(pages(0, 16), w.object)); },
       [](World& w) { EXPECT_TRUE(shows(*w.space, 5, 105)); }},
      {"map_next_to_another", "0x10000+0x10000", private_object,
       [](World& w) { return w.space->map(over(pages(16, 16), w.object, Sharing::Private, 16)); },
       [](World& w) {
         EXPECT_EQ(w.space->entries().size(), 1U);
         EXPECT_TRUE(shows(*w.space, 3, 3) && shows(*w.space, 20, 120));
       }},
      {"map_replacing", "0x4000+0x4000", own_layer,
       [](World& w) {
         auto request = over(pages(4, 4), w.object);
         request.overlap = uvm::Overlap::Replace;
         return w.space->map(request);
       },
       [](World& w) {
         EXPECT_TRUE(shows(*w.space, 3, 7) && shows(*w.space, 5, 101) && shows(*w.space, 1200, 4));
       }},
      {"unmap_hole", "0x4000+0x4000", private_object, [](World& w) { return w.space->unmap(pages(4, 4)); },
       [](World& w) {
         EXPECT_EQ(w.object->uses(), 2U);
         EXPECT_TRUE(shows(*w.space, 3, 3) && shows(*w.space, 9, 109) && !shows(*w.space, 5, 105));
       }},
      {"unmap_hole_of_shared_chunk", "0x4b0000+0x1000", own_layer,
       [](World& w) { return w.space->unmap(pages(1200, 1)); },
       [](World& w) {
         EXPECT_TRUE(shows(*w.other, 1200, 4) && shows(*w.space, 1201, 5) && !shows(*w.space, 1200, 4));
       }},
      {"protect", "0x3000+0x4000", private_object,
       [](World& w) { return w.space->protect(pages(3, 4), Protection::Read); },
       [](World& w) { EXPECT_EQ(w.space->entries().size(), 3U); }},
      {"inherit", "0x3000+0x1000", own_layer,
       [](World& w) { return w.space->inherit(pages(3, 1), Inherit::Share); },
       [](World& w) { EXPECT_EQ(w.space->entries().size(), 3U); }},
      {"advise", "0x3000+0x1000", some_ram,
       [](World& w) { return w.space->advise(pages(3, 1), uvm::Advice::Random); },
       [](World& w) { EXPECT_EQ(w.space->entries().size(), 3U); }},
      {"create_space", "0x0+0x4000000", nothing,
       [](World& w) -> Status {
         UVMM_TRY(w.third, uvm::Space::create("guest", w.third_mmu, World::limits()));
         return uvm::ok();
       },
       nothing},
  };
  return rows;
}

const std::vector<Operation>& fault_operations() {
  static const std::vector<Operation> rows = {
      {"fault_zeros", "at 0x5000", some_ram, [](World& w) { return fault(w, 5, AccessKind::Read); },
       [](World& w) { EXPECT_TRUE(shows(*w.space, 5, 0)); }},
      {"fault_object_read", "at 0x5000", [](World& w) { shared_object(w), drop(w); },
       [](World& w) { return fault(w, 5, AccessKind::Read); },
       [](World& w) { EXPECT_TRUE(shows(*w.space, 5, 105)); }},
      {"fault_object_write", "at 0x5000", [](World& w) { private_object(w), drop(w); },
       [](World& w) { return fault(w, 5, AccessKind::Write); },
       [](World& w) { EXPECT_TRUE(shows(*w.space, 5, 105) && shows(*w.space, 3, 3)); }},
      {"fault_wire_max", "at 0x5000", text_of_object,
       [](World& w) { return fault(w, 5, AccessKind::Read, FaultKind::WireMax); },
       [](World& w) { EXPECT_TRUE(shows(*w.space, 5, 105)); }},
      {"fault_copies_amap_and_anon", "at 0x3000", forked_ram,
       [](World& w) { return fault(w, 3, AccessKind::Write); },
       [](World& w) { EXPECT_TRUE(shows(*w.space, 3, 3) && shows(*w.other, 3, 3)); }},
      {"fault_copies_anon", "at 0x4b0000", own_layer,
       [](World& w) { return fault(w, 1200, AccessKind::Write); },
       [](World& w) {
         w.write(1200, 9);
         EXPECT_TRUE(shows(*w.space, 1200, 9) && shows(*w.other, 1200, 4) && shows(*w.space, 1201, 5));
       }},
      {"fault_uses_anon", "at 0x3000", [](World& w) { shared_ram(w), drop(w); },
       [](World& w) { return fault(w, 3, AccessKind::Write); },
       [](World& w) {
         w.write(3, 9);
         EXPECT_TRUE(shows(*w.other, 3, 9));
       }},
      {"fault_shared_copies_anon", "at 0x3000",
       [](World& w) {
         shared_ram(w);
         EXPECT_OK(w.fork_third());
       },
       [](World& w) { return fault(w, 3, AccessKind::Write); },
       [](World& w) {
         w.write(3, 9);
         EXPECT_TRUE(shows(*w.other, 3, 9) && shows(*w.third, 3, 3));
       }},
      {"fault_shared_zeros", "at 0x8000", shared_ram, [](World& w) { return fault(w, 8, AccessKind::Read); },
       [](World& w) {
         w.write(8, 9);
         EXPECT_TRUE(shows(*w.other, 8, 9));
       }},
  };
  return rows;
}

void expect_snapshot(World& w) {
  w.write(3, 8);
  w.write(5, 9);
  EXPECT_TRUE(shows(*w.third, 3, 3) && shows(*w.third, 4, 4) && shows(*w.third, 5, 0));
  EXPECT_TRUE(shows(*w.space, 3, 8) && shows(*w.space, 4, 4) && shows(*w.space, 5, 9));
}

const std::vector<Operation>& fork_operations() {
  static const std::vector<Operation> rows = {
      {"fork_copy", "0x0+0x4000000", some_ram, [](World& w) { return w.fork_third(); }, expect_snapshot},
      {"fork_copy_of_layer", "0x0+0x4000000", own_layer, [](World& w) { return w.fork_third(); },
       [](World& w) {
         w.write(1200, 9);
         EXPECT_TRUE(shows(*w.third, 3, 7) && shows(*w.third, 1200, 4) && shows(*w.other, 3, 3));
       }},
      {"fork_group", "0x0+0x4000000", shared_ram, [](World& w) { return w.fork_third(); },
       [](World& w) {
         expect_snapshot(w);
         EXPECT_TRUE(shows(*w.other, 3, 8) && shows(*w.other, 5, 9)) << "still one group";
       }},
      {"fork_share", "0x0+0x4000000",
       [](World& w) {
         private_object(w);
         EXPECT_OK(w.space->inherit(pages(0, 16), Inherit::Share));
       },
       [](World& w) { return w.fork_third(); },
       [](World& w) {
         w.write(5, 9);
         EXPECT_TRUE(shows(*w.third, 3, 3) && shows(*w.third, 5, 9));
       }},
      {"fork_zero_and_none", "0x0+0x4000000",
       [](World& w) {
         some_ram(w);
         EXPECT_OK(w.space->inherit(pages(0, 4), Inherit::Zero));
         EXPECT_OK(w.space->inherit(pages(4, 4), Inherit::None));
       },
       [](World& w) { return w.fork_third(); },
       [](World& w) { EXPECT_TRUE(shows(*w.third, 3, 0) && !shows(*w.third, 4, 4)); }},
      {"fork_pinned", "0x0+0x4000000",
       [](World& w) {
         some_ram(w);
         EXPECT_OK(w.pin(pages(3, 1)));
       },
       [](World& w) { return w.fork_third(); }, expect_snapshot, Leaves::Cuts},
      {"fork_pinned_group", "0x0+0x4000000",
       [](World& w) {
         shared_ram(w);
         EXPECT_OK(w.pin(pages(3, 1)));
       },
       [](World& w) { return w.fork_third(); }, expect_snapshot},
  };
  return rows;
}

const std::vector<Operation>& holding_operations() {
  static const std::vector<Operation> rows = {
      {"pin_ram", "0x2000+0x4000", some_ram, [](World& w) { return w.pin(pages(2, 4)); },
       [](World& w) { EXPECT_TRUE(shows(*w.space, 3, 3) && shows(*w.space, 5, 0)); }, Leaves::Pages},
      {"pin_object", "0x2000+0x4000", shared_object, [](World& w) { return w.pin(pages(2, 4)); },
       [](World& w) { EXPECT_EQ(w.pager->held(), 4U); }},
      {"pin_text_again", "0x2000+0x4000",
       [](World& w) {
         private_object(w);
         EXPECT_OK(w.pin(pages(0, 4)));
       },
       [](World& w) { return w.pin(pages(2, 4)); },
       [](World& w) { EXPECT_EQ(w.space->pin_count(page(3)), 2U); }, Leaves::Pages},
      {"open", "0x3010", some_ram,
       [](World& w) -> Status {
         UVMM_TRY(w.access, uvm::Access::open(*w.space, *uvm::GpaRange::from_size(uvm::Gpa(0x3010), 16),
                                              AccessKind::Write));
         return uvm::ok();
       },
       [](World& w) {
         EXPECT_ERROR(w.space->unmap(pages(0, 16)), ErrorKind::Busy);
         w.access.reset();
       }},
      {"write", "0x3000", own_layer,
       [](World& w) {
         const AllocPause pause;
         const auto bytes = pattern(kPage, 9);
         const AllocResume resume;
         return uvm::Access::write(*w.space, page(3), bytes);
       },
       [](World& w) { EXPECT_TRUE(shows(*w.space, 3, 9) && shows(*w.other, 3, 3)); }},
      {"fill", "0x3000", own_layer,
       [](World& w) { return uvm::Access::fill(*w.space, pages(3, 1), std::byte{0}); },
       [](World& w) { EXPECT_TRUE(shows(*w.space, 3, 0) && shows(*w.other, 3, 3)); }},
  };
  return rows;
}

const std::vector<Operation>& sharing_operations() {
  static const std::vector<Operation> rows = {
      {"wire_all", "0x0", some_ram, [](World& w) { return w.space->wire_all(uvm::WireScope::Both, w.owner); },
       [](World& w) {
         EXPECT_EQ(w.space->pin_statistics().bytes, 16 * kPage);
         w.space->unwire_all();
       },
       Leaves::Pages},
      {"extract", "0x2000",
       [](World& w) {
         some_ram(w);
         w.other = uvm::Space::create("other", w.other_mmu, World::limits()).value();
       },
       [](World& w) {
         return w.space->extract({pages(2, 4), page(2), Protection::ReadWrite, ""}, *w.other);
       },
       [](World& w) {
         w.write(3, 9);
         EXPECT_TRUE(shows(*w.other, 3, 9) && shows(*w.other, 4, 4) && shows(*w.space, 8, 0));
       },
       Leaves::Cuts},
      {"peek", "0x3000", own_layer,
       [](World& w) {
         std::array<std::byte, 16> bytes{};
         return uvm::Access::read(*w.space, page(3), bytes, uvm::kDebugger);
       },
       [](World& w) { EXPECT_TRUE(shows(*w.space, 3, 7)); }},
      {"poke_text", "0x5000", text_of_object,
       [](World& w) {
         const std::array<std::byte, 1> breakpoint{std::byte{0xcc}};
         return uvm::Access::write(*w.space, page(5), breakpoint, uvm::kDebugger);
       },
       [](World& w) { EXPECT_TRUE(!shows(*w.space, 5, 105) && shows(*w.space, 6, 106)); }, Leaves::Pages},
      {"reshare", "0x5000",
       [](World& w) {
         private_object(w);
         w.write(5, 105);
       },
       [](World& w) -> Status {
         UVMM_TRY(const uvm::Reshared what, w.space->reshare(page(5)));
         EXPECT_EQ(what, uvm::Reshared::Dropped);
         return uvm::ok();
       },
       [](World& w) { EXPECT_TRUE(shows(*w.space, 5, 105) && shows(*w.space, 3, 3)); }},
  };
  return rows;
}

std::vector<Operation> operations() {
  std::vector<Operation> all;
  for (const auto* rows : {&map_operations(), &fault_operations(), &fork_operations(), &holding_operations(),
                           &sharing_operations()}) {
    all.insert(all.end(), rows->begin(), rows->end());
  }
  return all;
}

class OutOfMemoryTest : public ::testing::TestWithParam<Operation> {
 protected:
  /// What a failure has to have left behind, and that the operation can still be done.
  static void expect_untouched(World& world, const Picture& before, const Status& failed, bool told) {
    const Operation& operation = GetParam();
    EXPECT_ERROR(failed, ErrorKind::NoMemory);
    if (told) {
      EXPECT_NE(failed.error().text().find(operation.said), std::string::npos) << failed.error().text();
    }
    Picture after = picture_of(world);
    if (operation.leaves == Leaves::Pages) after.frames = before.frames;
    if (operation.leaves == Leaves::Cuts) after.entries = before.entries;
    EXPECT_EQ(after, before);
    EXPECT_TRUE(counts_add_up(*world.space));
    EXPECT_OK(operation.act(world)) << "when it is repeated";
  }

  /// One run in a world of its own; false when it needed fewer than `n` allocations.
  static bool fails_at(std::uint64_t n, Exhaustion how) {
    const Operation& operation = GetParam();
    SCOPED_TRACE("allocation " + std::to_string(n));
    World world;
    operation.prepare(world);
    const Picture before = picture_of(world);
    Status status;
    {
      const AllocFault fault(n, how);
      status = operation.act(world);
    }
    const bool has_failed = AllocFault::has_failed();
    if (!status) expect_untouched(world, before, status, how == Exhaustion::Once);
    operation.expect(world);
    EXPECT_TRUE(counts_add_up(*world.space));
    return has_failed;
  }

  /// Returns how many allocations there were.
  static std::uint64_t exhaust(Exhaustion how) {
    fails_at(1, how);  // what a thread allocates once and keeps
    for (std::uint64_t n = 1;; n += kAllocStride) {
      const std::int64_t live = live_allocations();
      const bool goes_on = fails_at(n, how);
      EXPECT_EQ(live_allocations(), live) << "leaked when allocation " << n << " failed";
      if (!goes_on || ::testing::Test::HasFailure()) return n - 1;
    }
  }
};

TEST_P(OutOfMemoryTest, AnyAllocationMayFail) {
  RecordProperty("allocations", static_cast<int>(exhaust(Exhaustion::Once)));
}

TEST_P(OutOfMemoryTest, AllAllocationsMayFailFromAnyOn) {
  exhaust(Exhaustion::FromThenOn);
}

TEST_P(OutOfMemoryTest, ThePmapMayRefuse) {
  const Operation& operation = GetParam();
  bool refused = true;
  for (std::uint64_t n = 1; refused && !HasFailure(); ++n) {
    SCOPED_TRACE("refusal " + std::to_string(n));
    World world;
    operation.prepare(world);
    const Picture before = picture_of(world);
    const auto budget = [&](std::uint64_t calls) {
      for (SteadyMmu* mmu : {&world.mmu, &world.other_mmu, &world.third_mmu}) {
        mmu->fail_enter_from(calls);
        mmu->fail_promote_from(calls);
      }
    };
    const auto calls = [&] {
      return world.mmu.enters() + world.mmu.promotions() + world.third_mmu.promotions();
    };
    const std::uint64_t calls_before = calls();
    budget(n);
    const Status status = operation.act(world);
    budget(0);
    refused = calls() - calls_before >= n;
    if (!status) expect_untouched(world, before, status, true);
    operation.expect(world);
  }
}

TEST_P(OutOfMemoryTest, WhatEndsNeedsNoMemory) {
  const Operation& operation = GetParam();
  auto world = std::make_unique<World>();
  operation.prepare(*world);
  EXPECT_OK(operation.act(*world));
  const AllocFault fault(1, Exhaustion::FromThenOn);
  world->space->drop_translations();
  world->object->invalidate(*uvm::ObjectRange::from_size(uvm::ObjectOffset(0), 64 * kPage));
  world->access.reset();
  while (!world->pins.empty()) world->pins.pop_back();
  world->space->unwire_all();
  EXPECT_EQ(world->owner->pinned(), 0U);
  EXPECT_EQ(world->pager->held(), 0U);
  world->space.reset();
  world->third.reset();
  world->other.reset();
}

INSTANTIATE_TEST_SUITE_P(Operations, OutOfMemoryTest, ::testing::ValuesIn(operations()),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace out_of_memory_test
}  // namespace test
