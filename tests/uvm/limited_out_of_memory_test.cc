// A space within a memory limit, with host memory exhausted at every allocation of what it does: no page is
// lost, none is counted twice or not at all, none is left waited for, and the operation succeeds when it is
// repeated.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/alloc_steady_mmu.h"
#include "tests/support/alloc_steady_swap.h"
#include "tests/uvm/pin_fixture.h"

namespace test {
namespace limited_out_of_memory_test {

using uvm::AccessKind;
using uvm::ErrorKind;
using uvm::Status;

/// A guest of 128 pages, half of which may be in memory. Pages that were written hold their number plus one.
struct Limited {
  static constexpr std::uint64_t kRam = 128;  // pages
  static constexpr std::uint64_t kLimit = 64;
  static constexpr std::uint64_t kBytes = std::uint64_t{1} << 20;

  SimArena arena;
  SteadySwap swap;
  std::shared_ptr<uvm::PinOwner> owner = uvm::PinOwner::create("vfio0");
  SteadyMmu mmu{kBytes, &arena};
  SteadyMmu other_mmu{kBytes, &arena};
  std::unique_ptr<uvm::Space> space = uvm::Space::create("guest", mmu, pages(0, kBytes / kPage)).value();
  std::unique_ptr<uvm::Space> other;
  std::vector<uvm::Pin> pins;
  std::uint64_t written = 0;  // pages, from the first on

  [[nodiscard]] uvm::MemoryLimit limit() { return {kLimit * kPage, &swap, {}}; }
  void write(std::uint64_t count) {
    for (; written < count; ++written) {
      EXPECT_OK(uvm::Access::write(*space, page(written), pattern(kPage, written + 1)));
    }
  }
  /// Of what is mapped there.
  void expect_bytes(uvm::Space& reader) const {
    std::vector<std::byte> bytes(kPage);
    for (std::uint64_t n = 0; n < kRam && reader.entry_at(page(n)); ++n) {
      ASSERT_TRUE(is_ok(uvm::Access::read(reader, page(n), bytes))) << "page " << n;
      ASSERT_TRUE(n < written ? is_pattern(bytes, n + 1) : is_zero(bytes)) << "page " << n;
    }
  }
  /// Whether the account says what there is.
  void expect_counted() {
    const auto seen = space->reclaim_statistics();
    if (seen.limit == 0) return;
    EXPECT_EQ(seen.reserved, 0U);
    EXPECT_LE(seen.resident, kLimit * kPage);
    if (!other) {
      EXPECT_EQ(seen.resident / kPage, mmu.private_pages() + arena.live());
      EXPECT_EQ(seen.swapped / kPage, swap.used());
    }
  }
};

struct Step {
  const char* name;
  void (*prepare)(Limited&);
  Status (*act)(Limited&);
};

void PrintTo(const Step& step, std::ostream* out) {
  *out << step.name;
}

void unlimited(Limited& w) {
  EXPECT_OK(w.space->map(ram(pages(0, Limited::kRam))));
  w.write(32);
}
void limited(Limited& w) {
  EXPECT_OK(w.space->set_limit(w.limit()));
  EXPECT_OK(w.space->map(ram(pages(0, Limited::kRam))));
  w.write(96);
}
void all_in_swap(Limited& w) {
  limited(w);
  EXPECT_OK(w.space->reclaim(Limited::kRam * kPage));
}
void forked_in_swap(Limited& w) {
  all_in_swap(w);
  w.other = w.space->fork("other", w.other_mmu).value();
}
void forked_in_memory(Limited& w) {
  limited(w);
  w.other = w.space->fork("other", w.other_mmu).value();
}

std::vector<Step> steps() {
  return {
      {"set_limit", unlimited, [](Limited& w) { return w.space->set_limit(w.limit()); }},
      {"reclaim", limited,
       [](Limited& w) -> Status {
         UVMM_CHECK(w.space->reclaim(Limited::kRam * kPage));
         return uvm::ok();
       }},
      {"reclaim_what_a_fork_shares", forked_in_memory,
       [](Limited& w) -> Status {
         UVMM_CHECK(w.space->reclaim(Limited::kRam * kPage));
         return uvm::ok();
       }},
      {"zeros_without_room", limited,
       [](Limited& w) { return w.space->fault(page(100), AccessKind::Write); }},
      {"page_in", all_in_swap, [](Limited& w) { return w.space->fault(page(20), AccessKind::Write); }},
      {"page_in_without_room", limited,
       [](Limited& w) { return w.space->fault(page(0), AccessKind::Write); }},
      {"page_in_of_what_a_fork_shares", forked_in_swap,
       [](Limited& w) { return w.space->fault(page(20), AccessKind::Write); }},
      {"fork", all_in_swap,
       [](Limited& w) -> Status {
         UVMM_TRY(w.other, w.space->fork("other", w.other_mmu));
         return uvm::ok();
       }},
      {"pin", all_in_swap,
       [](Limited& w) -> Status {
         UVMM_TRY(uvm::Pin pin, uvm::Pin::create(*w.space, pages(12, 8), uvm::PinAccess::Write, w.owner));
         const AllocPause pause;  // the list is the test's
         w.pins.push_back(std::move(pin));
         return uvm::ok();
       }},
      {"extract", all_in_swap,
       [](Limited& w) -> Status {
         {
           const AllocPause pause;
           if (!w.other) {
             w.other = uvm::Space::create("other", w.other_mmu, pages(0, Limited::kBytes / kPage)).value();
           }
         }
         return w.space->extract({pages(0, 32), page(0), uvm::Protection::ReadWrite, ""}, *w.other);
       }},
  };
}

class LimitedOutOfMemoryTest : public ::testing::TestWithParam<Step> {
 protected:
  /// One run in a world of its own; false when it needed fewer than `n` allocations.
  static bool fails_at(std::uint64_t n, Exhaustion how) {
    const Step& step = GetParam();
    SCOPED_TRACE("allocation " + std::to_string(n));
    Limited world;
    step.prepare(world);
    Status status;
    {
      const AllocFault fault(n, how);
      status = step.act(world);
    }
    const bool has_failed = AllocFault::has_failed();
    if (!status) {
      EXPECT_ERROR(status, ErrorKind::NoMemory);
      world.expect_counted();
      EXPECT_OK(step.act(world)) << "when it is repeated";
    }
    world.expect_counted();
    world.pins.clear();
    world.expect_bytes(*world.space);
    if (world.other) world.expect_bytes(*world.other);
    return has_failed;
  }

  static void exhaust(Exhaustion how) {
    fails_at(1, how);  // what a thread allocates once and keeps
    for (std::uint64_t n = 1;; n += kAllocStride) {
      const std::int64_t live = live_allocations();
      const bool goes_on = fails_at(n, how);
      EXPECT_EQ(live_allocations(), live) << "leaked when allocation " << n << " failed";
      if (!goes_on || HasFailure()) return;
    }
  }
};

TEST_P(LimitedOutOfMemoryTest, AnyAllocationMayFail) {
  exhaust(Exhaustion::Once);
}

TEST_P(LimitedOutOfMemoryTest, AllAllocationsMayFailFromAnyOn) {
  exhaust(Exhaustion::FromThenOn);
}

INSTANTIATE_TEST_SUITE_P(Steps, LimitedOutOfMemoryTest, ::testing::ValuesIn(steps()),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace limited_out_of_memory_test
}  // namespace test
