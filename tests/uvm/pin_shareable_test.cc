// Pins for other processes: private pages lie in the arena while they are pinned, whoever made them and when.
#include <algorithm>

#include "tests/uvm/pin_fixture.h"

namespace test {
namespace pin_shareable_test {

using uvm::ErrorKind;
using uvm::Pin;
using uvm::PinRequest;
using uvm::Placement;

class PinShareable : public PinFixture {
 protected:
  void SetUp() override { EXPECT_OK(space.map(ram(pages(0, 16)))); }
  uvm::Result<Pin> share(uvm::GpaRange range) {
    return Pin::create(space, range,
                       PinRequest{vfio, uvm::PinAccess::Write, uvm::ForkPolicy::Copy, Placement::Shareable});
  }
  void expect_in_arena(const Pin& pin) {
    for (const uvm::WiredRun& run : pin.runs()) EXPECT_EQ(run.first.store, &arena) << to_string(run.range);
  }
};

TEST_F(PinShareable, PagesOfTheHostsMakingMoveWithTheirBytes) {
  guest.write_pattern(3, 3);
  guest.write_pattern(4, 4);
  const auto held = share(pages(2, 4));
  ASSERT_TRUE(is_ok(held));
  expect_in_arena(*held);
  EXPECT_TRUE(std::ranges::equal(dma(*held, 3), pattern(kPage, 3)));
  EXPECT_TRUE(std::ranges::equal(dma(*held, 4), pattern(kPage, 4)));
  EXPECT_TRUE(uses_pinned_frames(guest, *held));
  EXPECT_EQ(guest.mmu.private_pages(), 0U) << "nothing is left behind";
}

TEST_F(PinShareable, GuestDeviceAndDebuggerSeeTheSameBytes) {
  const auto held = share(pages(0, 4));
  ASSERT_TRUE(is_ok(held));
  guest.write_pattern(1, 7);
  EXPECT_TRUE(std::ranges::equal(dma(*held, 1), pattern(kPage, 7)));
  std::ranges::copy(pattern(kPage, 8), dma(*held, 2).begin());
  EXPECT_TRUE(std::ranges::equal(guest.page_at(2), pattern(kPage, 8)));
  poke(guest, 3, 9);
  EXPECT_TRUE(std::ranges::equal(dma(*held, 3), pattern(kPage, 9)));
  EXPECT_TRUE(uses_pinned_frames(guest, *held));
}

TEST_F(PinShareable, WhatIsMadeLaterInTheMappingLiesThereToo) {
  { EXPECT_OK(share(pages(0, 1))); }
  guest.write_pattern(0, 1);
  const auto again = share(pages(0, 1));
  ASSERT_TRUE(is_ok(again));
  expect_in_arena(*again);
  EXPECT_EQ(guest.mmu.private_pages(), 0U);
  guest.write_pattern(9, 9);
  EXPECT_EQ(guest.mmu.private_pages(), 1U) << "the rest of the mapping is the host's as before";
}

TEST_F(PinShareable, PagesOfASharedObjectStayWhereTheyAre) {
  EXPECT_OK(space.map(over(pages(16, 4), kept_object(4), uvm::Sharing::Shared)));
  const auto held = share(pages(16, 4));
  ASSERT_TRUE(is_ok(held));
  ASSERT_EQ(held->runs().size(), 1U);
  EXPECT_EQ(held->runs()[0].first, keeper->store().frame(0));
}

TEST_F(PinShareable, PagesOverAnObjectAreCopiedToTheArena) {
  EXPECT_OK(space.map(over(pages(16, 4), kept_object(4))));
  guest.write_pattern(17, 17);
  const auto held = share(pages(16, 4));
  ASSERT_TRUE(is_ok(held));
  expect_in_arena(*held);
  EXPECT_TRUE(std::ranges::equal(dma(*held, 17), pattern(kPage, 17)));
  EXPECT_TRUE(std::ranges::equal(dma(*held, 18), pattern(kPage, 102)));
  EXPECT_TRUE(uses_pinned_frames(guest, *held));
}

TEST_F(PinShareable, WhatIsPinnedInPlaceStaysAndIsRefused) {
  guest.write_pattern(2, 2);
  const auto in_place = pin(pages(2, 1));
  ASSERT_TRUE(is_ok(in_place));
  EXPECT_ERROR(share(pages(1, 2)), ErrorKind::Pinned);
  EXPECT_EQ(vfio->pinned(), kPage);
  EXPECT_TRUE(uses_pinned_frames(guest, *in_place));
  EXPECT_OK(share(pages(4, 2))) << "beside it";
}

TEST_F(PinShareable, AForkGetsCopiesAndThePinsPagesStay) {
  const auto held = share(pages(0, 4));
  ASSERT_TRUE(is_ok(held));
  guest.write_pattern(1, 1);
  Guest child(arena, "child", guest);
  guest.write_pattern(1, 2);
  EXPECT_TRUE(std::ranges::equal(child.page_at(1), pattern(kPage, 1)));
  EXPECT_TRUE(std::ranges::equal(dma(*held, 1), pattern(kPage, 2)));
  child.write_pattern(1, 3);
  EXPECT_EQ(child.mmu.private_pages(), 4U);
  const auto own = child.mmu.extract(page(1));
  ASSERT_TRUE(own && own->frame);
  EXPECT_NE(own->frame->store, &arena) << "the child's pages are its own, in place";
  EXPECT_TRUE(uses_pinned_frames(guest, *held));
}

TEST_F(PinShareable, IsRefusedWithinAMemoryLimitAndUnderAnOpenAccess) {
  {
    const auto open = uvm::Access::open(space, pages(1, 1), uvm::AccessKind::Write);
    ASSERT_TRUE(is_ok(open));
    EXPECT_ERROR(share(pages(0, 4)), ErrorKind::Busy);
  }
  EXPECT_OK(space.set_limit({64 * kPage, nullptr, {}}));
  EXPECT_ERROR(share(pages(0, 4)), ErrorKind::Unsupported);
  expect_nothing_pinned();
}

}  // namespace pin_shareable_test
}  // namespace test
