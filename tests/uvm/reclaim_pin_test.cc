// Pins and forks of a space under a memory limit.
#include "tests/uvm/reclaim_fixture.h"
#include "uvm/reclaim.h"

namespace test {
namespace reclaim_pin_test {

using uvm::ErrorKind;

class ReclaimPinTest : public ReclaimFixture {
 protected:
  uvm::Result<uvm::Pin> pin(uvm::GpaRange range) {
    return uvm::Pin::create(space, range, uvm::PinAccess::Write, owner);
  }
  std::shared_ptr<uvm::PinOwner> owner = uvm::PinOwner::create("dma");
};

TEST_F(ReclaimPinTest, PinBringsPagesInAndKeepsThem) {
  write_pages(0, 64, 1);
  swap_out_all();
  auto pinned = pin(pages(8, 16));
  ASSERT_TRUE(is_ok(pinned));
  for (std::uint64_t n = 8; n < 24; ++n) {
    ASSERT_TRUE(is_pattern(bytes_of(pinned->frame_at(page(n))), n + 1));
    fill_pattern(bytes_of(pinned->frame_at(page(n))), n + 500);
  }
  swap_out_all();
  EXPECT_EQ(resident(), 16U);
  for (std::uint64_t n = 8; n < 24; ++n) {
    ASSERT_TRUE(is_pattern(bytes_of(pinned->frame_at(page(n))), n + 500));
  }
  expect_pages(8, 16, 500);
}

TEST_F(ReclaimPinTest, PinOfZerosCounts) {
  auto pinned = pin(pages(100, 40));
  ASSERT_TRUE(is_ok(pinned));
  EXPECT_EQ(resident(), 40U);
  swap_out_all();
  EXPECT_EQ(resident(), 40U);
}

TEST_F(ReclaimPinTest, PinThatDoesNotFitIsRefusedWithNumbers) {
  write_pages(0, 64, 1);
  const auto refused = pin(pages(0, kLimit + 1));
  EXPECT_ERROR(refused, ErrorKind::NoMemory);
  EXPECT_NE(refused.error().text().find(uvm::hex((kLimit + 1) * kPage)), std::string::npos);
  EXPECT_NE(refused.error().text().find(uvm::hex(kLimit * kPage)), std::string::npos);
  EXPECT_EQ(owner->pinned(), 0U);
  EXPECT_TRUE(space.pins().empty());
  expect_pages(0, 64, 1);
}

TEST_F(ReclaimPinTest, PinsOfTheWholeLimitLeaveNothingForTheGuest) {
  write_pages(200, 64, 1);
  auto pinned = pin(pages(0, kLimit));
  ASSERT_TRUE(is_ok(pinned));
  const auto failed = guest.cpu.load(page(200));
  EXPECT_ERROR(failed, ErrorKind::NoMemory);
  EXPECT_NE(failed.error().text().find("unpin"), std::string::npos);
  *pinned = uvm::Pin(std::move(*pinned));
  { const uvm::Pin ends = std::move(*pinned); }
  expect_pages(200, 64, 1);
}

TEST_F(ReclaimPinTest, ForkSharesSwapByReference) {
  write_pages(0, 64, 1);
  swap_out_all();
  Guest child(arena, "child", guest);
  EXPECT_EQ(swap.used(), 64U);
  write_pages(0, 16, 900);
  expect_pages(child, 0, 64, 1);
  EXPECT_EQ(swap.used(), 48U) << "both sides let go of the first 16, the child of all";
  expect_pages(0, 16, 900);
  expect_pages(16, 48, 1);
  EXPECT_EQ(swap.used(), 0U);
}

TEST_F(ReclaimPinTest, ForkOfAFork) {
  write_pages(0, 64, 1);
  swap_out_all();
  auto child = std::make_unique<Guest>(arena, "child", guest);
  Guest grandchild(arena, "grandchild", *child);
  EXPECT_OK(child->space->set_limit({64 * kPage, &swap, {}}));
  for (std::uint64_t n = 0; n < 64; ++n) child->write_pattern(n, 300 + n);
  expect_pages(*child, 0, 64, 300);
  child.reset();
  expect_pages(grandchild, 0, 64, 1);
  expect_pages(0, 64, 1);
  EXPECT_EQ(swap.used(), 0U);
}

TEST_F(ReclaimPinTest, PagesThatAForkLeftInCommonGoFromEachSide) {
  write_pages(0, 64, 1);
  Guest child(arena, "child", guest);
  EXPECT_OK(child.space->set_limit({64 * kPage, &swap, {}}));
  EXPECT_EQ(arena.live(), 64U);
  swap_out_all();
  EXPECT_EQ(resident(), 0U);
  EXPECT_EQ(arena.live(), 64U) << "the child has them";
  expect_pages(child, 0, 64, 1);
  EXPECT_OK(child.space->reclaim(64 * kPage));
  EXPECT_EQ(arena.live(), 0U);
  EXPECT_EQ(swap.used(), 128U);
  write_pages(0, 64, 200);
  expect_pages(child, 0, 64, 1);
  expect_pages(0, 64, 200);
}

TEST_F(ReclaimPinTest, CopyOfAPageThatCountsNeedsNoRoom) {
  write_pages(0, kLimit, 1);
  Guest child(arena, "child", guest);
  swap.fail_writes(true);
  write_pages(0, kLimit, 400);
  EXPECT_EQ(resident(), kLimit);
  expect_pages(child, 0, kLimit, 1);
  expect_pages(0, kLimit, 400);
}

TEST_F(ReclaimPinTest, ForkCopiesPinnedPages) {
  write_pages(0, 64, 1);
  swap_out_all();
  auto pinned = pin(pages(4, 8));
  ASSERT_TRUE(is_ok(pinned));
  Guest child(arena, "child", guest);
  fill_pattern(bytes_of(pinned->frame_at(page(4))), 77);
  EXPECT_TRUE(is_pattern(guest.page_at(4), 77));
  expect_pages(child, 0, 64, 1);
}

TEST_F(ReclaimPinTest, SharedMemoryOfAGroupComesFromSwap) {
  write_pages(0, 64, 1);
  swap_out_all();
  EXPECT_OK(space.inherit(pages(0, kRam), uvm::Inherit::Share));
  Guest twin(arena, "twin", guest);
  expect_pages(twin, 0, 32, 1);
  write_pages(0, 64, 50);
  expect_pages(twin, 0, 64, 50);
  twin.write_pattern(3, 9);
  EXPECT_TRUE(is_pattern(guest.page_at(3), 9));
  swap_out_all();
  EXPECT_EQ(resident(), 64U) << "what others see written stays";
}

}  // namespace reclaim_pin_test
}  // namespace test
