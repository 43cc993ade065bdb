// Pages that the guest has done with: what is freed, what stays, and what is read afterwards.
#include "uvm/discard.h"

#include <gtest/gtest.h>

#include <utility>

#include "tests/uvm/pin_fixture.h"
#include "tests/uvm/reclaim_fixture.h"

namespace test {
namespace discard_test {

using uvm::Discarded;
using uvm::ErrorKind;
using uvm::Inherit;
using uvm::Protection;
using uvm::Sharing;

class DiscardTest : public SpaceFixture {
 protected:
  void expect_discarded(uvm::GpaRange range, std::uint64_t given_back, std::uint64_t kept) {
    const auto discarded = space.discard(range);
    ASSERT_TRUE(discarded) << discarded.error().text();
    EXPECT_EQ(discarded->given_back, given_back * kPage);
    EXPECT_EQ(discarded->kept, kept * kPage);
  }
};

/// Empties what it is asked to, and counts.
class EmptyingPager : public KeepingPager {
 public:
  using KeepingPager::KeepingPager;
  [[nodiscard]] bool discard(uvm::ObjectOffset first, std::uint64_t count) override {
    for (std::uint64_t n = first.page(); n < first.page() + count; ++n) {
      std::ranges::fill(store().page(n), std::byte{0});
    }
    emptied += count;
    return true;
  }
  std::uint64_t emptied = 0;
};

TEST_F(DiscardTest, PagesOfTheGuestsOwnAreFreedAndReadAsZeros) {
  EXPECT_OK(space.map(ram(pages(0, 8))));
  for (std::uint64_t n = 0; n < 8; ++n) guest.write_pattern(n, n + 1);
  EXPECT_EQ(guest.mmu.private_pages(), 8U);
  const auto entered = guest.mmu.enters();
  expect_discarded(pages(2, 4), 4, 0);
  EXPECT_EQ(guest.mmu.private_pages(), 4U);
  EXPECT_TRUE(is_zero(guest.page_at(3)));
  EXPECT_TRUE(is_pattern(guest.page_at(1), 2));
  EXPECT_TRUE(is_pattern(guest.page_at(6), 7));
  EXPECT_EQ(guest.mmu.enters(), entered) << "the translation stayed, and no fault was needed";
  guest.write_pattern(3, 40);
  EXPECT_TRUE(is_pattern(guest.page_at(3), 40));
  EXPECT_EQ(space.statistics().discarded, 4U);
}

TEST_F(DiscardTest, WhatIsNoMemoryOrNotTheGuestsToWriteStays) {
  EXPECT_OK(space.map(ram(pages(1, 2))));
  guest.write_pattern(1, 1);
  EXPECT_OK(space.protect(pages(1, 1), Protection::Read));
  expect_discarded(pages(0, 4), 1, 3);
  EXPECT_TRUE(is_pattern(guest.page_at(1), 1));
  EXPECT_ERROR(space.discard(uvm::GpaRange()), ErrorKind::Invalid);
  EXPECT_ERROR(space.discard(*uvm::GpaRange::from_size(uvm::Gpa(1), kPage)), ErrorKind::Invalid);
  EXPECT_ERROR(space.discard(*uvm::GpaRange::from_size(uvm::Gpa(Guest::kBytes), kPage)), ErrorKind::Invalid);
}

TEST_F(DiscardTest, APrivateMappingShowsItsObjectAgain) {
  EXPECT_OK(space.map(over(pages(0, 4), object(4))));
  guest.write_pattern(1, 7);
  expect_discarded(pages(0, 4), 4, 0);
  EXPECT_EQ(guest.mmu.private_pages(), 0U);
  EXPECT_TRUE(is_pattern(guest.page_at(1), 101)) << "what the guest had before it wrote";
}

TEST_F(DiscardTest, AForksOtherSideKeepsItsPages) {
  EXPECT_OK(space.map(ram(pages(0, 4))));
  for (std::uint64_t n = 0; n < 4; ++n) guest.write_pattern(n, n + 1);
  {
    Guest child(arena, "child", guest);
    EXPECT_EQ(arena.live(), 4U);
    expect_discarded(pages(0, 2), 2, 0);
    EXPECT_TRUE(is_zero(guest.page_at(0)));
    EXPECT_TRUE(is_pattern(guest.page_at(2), 3));
    for (std::uint64_t n = 0; n < 4; ++n) EXPECT_TRUE(is_pattern(child.page_at(n), n + 1)) << n;
    EXPECT_OK(child.space->discard(pages(0, 4)));
    EXPECT_TRUE(is_zero(child.page_at(2)));
    EXPECT_TRUE(is_pattern(guest.page_at(2), 3));
  }
  EXPECT_EQ(arena.live(), 2U) << "and is freed when nobody has it";
}

TEST_F(DiscardTest, PinnedPagesStayUnderTheirDevice) {
  EXPECT_OK(space.map(ram(pages(0, 4))));
  for (std::uint64_t n = 0; n < 4; ++n) guest.write_pattern(n, n + 1);
  auto pin = uvm::Pin::create(space, pages(1, 2), uvm::PinAccess::Write, uvm::PinOwner::create("disk"));
  ASSERT_TRUE(pin);
  const uvm::Frame frame = pin->frame_at(page(1));
  expect_discarded(pages(0, 4), 2, 2);
  EXPECT_TRUE(is_pattern(guest.page_at(1), 2));
  EXPECT_EQ(pin->frame_at(page(1)), frame);
  EXPECT_TRUE(is_zero(guest.page_at(3)));
}

TEST_F(DiscardTest, AnOpenAccessKeepsItsPageAndNoOther) {
  EXPECT_OK(space.map(ram(pages(0, 4))));
  for (std::uint64_t n = 0; n < 4; ++n) guest.write_pattern(n, n + 1);
  auto access = uvm::Access::open(space, pages(2, 1), uvm::AccessKind::Read);
  ASSERT_TRUE(access);
  expect_discarded(pages(0, 4), 3, 1);
  EXPECT_TRUE(is_pattern(guest.page_at(2), 3));
}

TEST_F(DiscardTest, WhatOthersSeeTheWritesOfStays) {
  uvm::MapRequest shared = ram(pages(0, 2));
  shared.inherit = Inherit::Share;
  EXPECT_OK(space.map(shared));
  guest.write_pattern(0, 1);
  {
    Guest child(arena, "child", guest);
    expect_discarded(pages(0, 2), 0, 2);
    EXPECT_TRUE(is_pattern(child.page_at(0), 1));
  }
  expect_discarded(pages(0, 2), 2, 0);
  EXPECT_TRUE(is_zero(guest.page_at(0)));
}

TEST_F(DiscardTest, AnObjectThatOnlyThisSpaceMapsIsEmptied) {
  const auto emptying = std::make_shared<EmptyingPager>("ram", 4 * kPage, 100);
  const auto memory = uvm::Object::create(emptying);
  EXPECT_OK(space.map(over(pages(0, 4), memory, Sharing::Shared)));
  EXPECT_TRUE(is_pattern(guest.page_at(1), 101));
  expect_discarded(pages(0, 2), 2, 0);
  EXPECT_TRUE(is_zero(guest.page_at(1)));
  EXPECT_TRUE(is_pattern(guest.page_at(2), 102));
  Guest other(arena, "other");
  EXPECT_OK(other.space->map(over(pages(0, 1), memory, Sharing::Shared, 2)));
  expect_discarded(pages(0, 4), 3, 1);
  EXPECT_TRUE(is_pattern(other.page_at(0), 102)) << "somebody else's too";
  EXPECT_EQ(emptying->emptied, 5U);
}

TEST_F(DiscardTest, AnObjectThatCannotBeEmptiedStays) {
  EXPECT_OK(space.map(over(pages(0, 4), object(4), Sharing::Shared)));
  expect_discarded(pages(0, 4), 0, 4);
  EXPECT_TRUE(is_pattern(guest.page_at(1), 101));
}

class DiscardInSwapTest : public ReclaimFixture {};

TEST_F(DiscardInSwapTest, SwapSlotsAreFreedAndTheLimitHasRoomAgain) {
  write_pages(0, 64, 1);
  const std::uint64_t before = resident();
  EXPECT_OK(space.discard(pages(0, 16)));
  EXPECT_EQ(resident(), before - 16);
  swap_out_all();
  EXPECT_EQ(swapped(), 48U);
  const std::uint64_t used = swap.used();
  EXPECT_OK(space.discard(pages(16, 16)));
  EXPECT_EQ(swapped(), 32U);
  EXPECT_EQ(swap.used(), used - 16);
  for (std::uint64_t n = 0; n < 32; ++n) EXPECT_TRUE(is_zero(guest.page_at(n))) << n;
  expect_pages(32, 32, 1);
}

TEST_F(DiscardInSwapTest, APageOnItsWayOutIsGoneWhenItArrives) {
  write_pages(0, 32, 1);
  bool done = false;
  swap.before_io([&] {
    if (std::exchange(done, true)) return;
    EXPECT_OK(space.discard(pages(0, 32)));
  });
  swap_out_all();
  swap.before_io({});
  ASSERT_TRUE(done);
  for (std::uint64_t n = 0; n < 32; ++n) EXPECT_TRUE(is_zero(guest.page_at(n))) << n;
  EXPECT_EQ(swapped(), 0U);
  EXPECT_EQ(swap.used(), 0U);
}

TEST_F(DiscardInSwapTest, APageOnItsWayBackIsGoneWhenItArrives) {
  write_pages(0, 32, 1);
  swap_out_all();
  bool done = false;
  swap.before_io([&] {
    if (std::exchange(done, true)) return;
    EXPECT_OK(space.discard(pages(0, 32)));
  });
  EXPECT_TRUE(is_zero(guest.page_at(3)));
  swap.before_io({});
  ASSERT_TRUE(done);
  EXPECT_EQ(swapped(), 0U);
}

}  // namespace discard_test
}  // namespace test
