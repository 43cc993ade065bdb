#include "uvm/reclaim.h"

#include "tests/uvm/reclaim_fixture.h"

namespace test {
namespace reclaim_test {

using uvm::ErrorKind;

using ReclaimTest = ReclaimFixture;

TEST_F(ReclaimTest, GuestFourTimesItsLimitReadsWhatItWrote) {
  write_pages(0, kRam, 1000);
  EXPECT_LE(resident(), kLimit);
  EXPECT_EQ(resident() + swapped(), kRam);
  expect_pages(0, kRam, 1000);
  EXPECT_LE(resident(), kLimit);
  EXPECT_EQ(guest.mmu.private_pages(), resident());
  EXPECT_EQ(guest.mmu.host_copies(), 0U) << "the host made a page that nobody counted";
}

TEST_F(ReclaimTest, CountsBeforePagesExist) {
  for (std::uint64_t n = 0; n < kRam; n += 7) {
    guest.write_pattern(n, n);
    ASSERT_LE(guest.mmu.private_pages(), kLimit);
    ASSERT_EQ(guest.mmu.private_pages(), resident());
  }
}

TEST_F(ReclaimTest, PagesGoAndComeInClusters) {
  write_pages(0, 64, 1);
  swap_out_all();
  EXPECT_EQ(resident(), 0U);
  EXPECT_EQ(swap.writes(), 4U);
  EXPECT_EQ(swapped(), 64U);
  const std::uint64_t events = guest.cpu.events();
  expect_pages(0, 64, 1);
  EXPECT_EQ(swap.reads(), 4U);
  EXPECT_EQ(guest.cpu.events() - events, 4U);
  EXPECT_EQ(swap.used(), 0U) << "what came in may be written, so its slots are free";
  EXPECT_EQ(space.statistics().paged_in, 64U);
}

TEST_F(ReclaimTest, ZerosNeedNoSwap) {
  std::vector<std::byte> zeros(kPage);
  for (std::uint64_t n = 0; n < 64; ++n) EXPECT_OK(guest.cpu.write(page(n), zeros));
  guest.write_pattern(5, 5);
  swap_out_all();
  EXPECT_EQ(swapped(), 1U);
  EXPECT_EQ(resident(), 0U);
  EXPECT_TRUE(is_pattern(guest.page_at(5), 5));
  EXPECT_TRUE(is_zero(guest.page_at(4)));
  EXPECT_EQ(space.reclaim_statistics().zeros, 63U);
}

TEST_F(ReclaimTest, ReclaimFreesWhatItIsAskedFor) {
  write_pages(0, 128, 1);
  const auto freed = space.reclaim(32 * kPage);
  ASSERT_TRUE(is_ok(freed));
  EXPECT_EQ(*freed, 32 * kPage);
  EXPECT_EQ(resident(), 96U);
}

TEST_F(ReclaimTest, UsedPagesGetASecondChance) {
  write_pages(0, 128, 1);
  // A third becomes inactive, oldest first; one cluster of it is used again.
  EXPECT_OK(space.reclaim(kPage));
  const std::uint64_t reads = swap.reads();
  EXPECT_TRUE(is_pattern(guest.page_at(20), 21));
  EXPECT_EQ(space.reclaim_statistics().refaults, 1U);
  EXPECT_OK(space.reclaim(64 * kPage));
  EXPECT_TRUE(is_pattern(guest.page_at(20), 21));
  EXPECT_EQ(swap.reads(), reads) << "it was used and went out all the same";
  EXPECT_TRUE(is_pattern(guest.page_at(1), 2));
  EXPECT_EQ(swap.reads(), reads + 1);
}

TEST_F(ReclaimTest, UnmapFreesSlotsAndRoom) {
  write_pages(0, 256, 1);
  EXPECT_OK(space.unmap(pages(0, 200)));
  EXPECT_EQ(resident() + swapped(), 56U);
  EXPECT_EQ(swap.used(), swapped());
  expect_pages(200, 56, 1);
  EXPECT_OK(space.unmap(pages(0, kRam)));
  EXPECT_EQ(resident(), 0U);
  EXPECT_EQ(swap.used(), 0U);
}

TEST_F(ReclaimTest, ReplacedMemoryIsZerosAgain) {
  write_pages(0, 256, 1);
  auto request = ram(pages(0, 256));
  request.overlap = uvm::Overlap::Replace;
  EXPECT_OK(space.map(request));
  EXPECT_EQ(swap.used(), 0U);
  for (std::uint64_t n = 0; n < 256; ++n) ASSERT_TRUE(is_zero(guest.page_at(n)));
}

TEST_F(ReclaimTest, DroppedTranslationsLoseNothing) {
  write_pages(0, 256, 1);
  space.drop_translations();
  expect_pages(0, 256, 1);
}

TEST_F(ReclaimTest, ProtectionStaysOnBothSides) {
  write_pages(0, 64, 1);
  swap_out_all();
  EXPECT_OK(space.protect(pages(0, 64), uvm::Protection::Read));
  expect_pages(0, 64, 1);
  EXPECT_ERROR(guest.cpu.store(page(3), 1), ErrorKind::Protection);
  EXPECT_OK(space.protect(pages(0, 64), uvm::Protection::ReadWrite));
  EXPECT_OK(guest.cpu.store(page(3), 1));
  EXPECT_OK(space.protect(pages(0, 64), uvm::Protection::None));
  swap_out_all();
  EXPECT_ERROR(guest.cpu.load(page(3)), ErrorKind::Protection);
}

TEST_F(ReclaimTest, PrivatePagesOverAnObjectGoAndComeBack) {
  auto pager = std::make_shared<FakePager>("file", 64 * kPage, 2024);
  pager->store().set_writable(false);
  EXPECT_OK(space.map(over(pages(1024, 64), uvm::Object::create(pager))));
  expect_pages(1024, 64, 1000);
  const std::uint64_t before = resident();
  write_pages(1030, 4, 7);
  EXPECT_EQ(resident() - before, 4U);
  swap_out_all();
  EXPECT_EQ(swapped(), 4U);
  expect_pages(1030, 4, 7);
  expect_pages(1024, 6, 1000);
  // Zeros are not what the file has there.
  EXPECT_OK(guest.cpu.write(page(1040), std::vector<std::byte>(kPage)));
  swap_out_all();
  EXPECT_TRUE(is_zero(guest.page_at(1040)));
}

TEST_F(ReclaimTest, AccessFindsSwappedBytesAndKeepsThem) {
  write_pages(0, 64, 1);
  swap_out_all();
  {
    auto open = uvm::Access::open(space, pages(16, 2), uvm::AccessKind::Write);
    ASSERT_TRUE(is_ok(open));
    EXPECT_TRUE(is_pattern(open->bytes().first(kPage), 17));
    swap_out_all();
    EXPECT_TRUE(is_pattern(open->bytes().subspan(kPage), 18));
    fill_pattern(open->bytes().first(kPage), 99);
  }
  swap_out_all();
  EXPECT_EQ(resident(), 0U);
  EXPECT_TRUE(is_pattern(guest.page_at(16), 99));
}

TEST_F(ReclaimTest, LimitOnASpaceThatHasPages) {
  Guest other(arena, "other");
  EXPECT_OK(other.space->map(ram(pages(0, 256))));
  for (std::uint64_t n = 0; n < 256; ++n) other.write_pattern(n, n);
  EXPECT_OK(other.space->set_limit({64 * kPage, &swap, {}}));
  EXPECT_EQ(other.space->reclaim_statistics().resident, 256 * kPage);
  other.write_pattern(0, 1000);
  EXPECT_OK(other.space->reclaim(192 * kPage));
  EXPECT_LE(other.space->reclaim_statistics().resident, 64 * kPage);
  for (std::uint64_t n = 1; n < 256; ++n) ASSERT_TRUE(is_pattern(other.page_at(n), n));
  EXPECT_TRUE(is_pattern(other.page_at(0), 1000));
  EXPECT_LE(other.space->reclaim_statistics().resident, 64 * kPage);
}

TEST_F(ReclaimTest, TellsOnceWhenLittleIsLeft) {
  int told = 0;
  EXPECT_OK(space.set_limit({kLimit * kPage, &swap, [&] { ++told; }}));
  write_pages(0, 100, 1);
  EXPECT_EQ(told, 0);
  write_pages(100, 28, 1);
  EXPECT_EQ(told, 1);
  EXPECT_OK(space.reclaim(32 * kPage));
  write_pages(200, 32, 1);
  EXPECT_EQ(told, 2);
}

TEST_F(ReclaimTest, RefusesWhatItCannotCount) {
  const auto object = uvm::Object::create(std::make_shared<FakePager>("ram", 64 * kPage));
  const auto shared = over(pages(1024, 64), object, uvm::Sharing::Shared);
  EXPECT_ERROR(space.map(shared), ErrorKind::Unsupported);
  Guest other(arena, "other");
  EXPECT_OK(other.space->map(shared));
  EXPECT_ERROR(other.space->set_limit({kLimit * kPage, &swap, {}}), ErrorKind::Unsupported);
  EXPECT_OK(other.space->unmap(pages(1024, 64)));
  EXPECT_ERROR(other.space->set_limit({kPage, &swap, {}}), ErrorKind::Invalid);
  EXPECT_ERROR(other.space->set_limit({kLimit * kPage + 1, &swap, {}}), ErrorKind::Invalid);
  EXPECT_ERROR(space.set_limit({kLimit * kPage, nullptr, {}}), ErrorKind::Invalid);
}

TEST_F(ReclaimTest, ALimitThatComesLateKeepsPagesOfSharedZeros) {
  Guest other(arena, "other");
  auto zeros = ram(pages(0, 32));
  zeros.sharing = uvm::Sharing::Shared;
  EXPECT_OK(other.space->map(zeros));
  other.write_pattern(5, 1);
  EXPECT_OK(other.space->set_limit({kLimit * kPage, &swap, {}}));
  EXPECT_TRUE(is_zero(other.page_at(6))) << "the cluster around it was filled";
  EXPECT_TRUE(is_pattern(other.page_at(5), 1));
  EXPECT_OK(other.space->reclaim(32 * kPage));
  EXPECT_TRUE(is_pattern(other.page_at(5), 1));
}

TEST_F(ReclaimTest, MetadataIsSmall) {
  const std::uint64_t before = space.metadata_bytes() - guest.mmu.metadata_bytes();
  write_pages(0, kLimit, 1);
  const std::uint64_t queues = space.metadata_bytes() - guest.mmu.metadata_bytes() - before;
  EXPECT_LT(queues * 250, kLimit * kPage);
}

}  // namespace reclaim_test
}  // namespace test
