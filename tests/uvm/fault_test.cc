#include "uvm/fault.h"

#include <gtest/gtest.h>

#include "tests/uvm/fixture.h"

namespace test {
namespace fault_test {

using uvm::AccessKind;
using uvm::ErrorKind;
using uvm::FaultKind;
using uvm::Protection;
using uvm::Sharing;

using FaultTest = SpaceFixture;

TEST_F(FaultTest, ErrorsSayWhoWhereAndWhy) {
  const auto nothing = space.fault(page(3), AccessKind::Write);
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().kind(), ErrorKind::NoMapping);
  EXPECT_EQ(nothing.error().what(), "space guest: write at 0x3000: nothing is mapped there");
  auto rom = ram(pages(0, 4), "rom");
  rom.protection = Protection::Read;
  EXPECT_OK(space.map(rom));
  const auto denied = space.fault(page(3), AccessKind::Execute);
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().kind(), ErrorKind::Protection);
  EXPECT_EQ(denied.error().what(),
            "space guest: execute at 0x3000: mapping rom at 0x0+0x4000 is r--, at most rwx");
  EXPECT_EQ(space.statistics().refused, 2U);
}

TEST_F(FaultTest, ADropCostsOneFaultForTheWholeEntry) {
  EXPECT_OK(space.map(ram(pages(0, 512))));
  guest.write_pattern(7, 7);
  space.drop_translations();
  EXPECT_TRUE(is_pattern(guest.page_at(7), 7));
  EXPECT_TRUE(is_zero(guest.page_at(400)));
  EXPECT_EQ(guest.cpu.events(), 1U);
  EXPECT_EQ(guest.mmu.ranges(), 1U);
}

TEST_F(FaultTest, TheHostCopiesOverAnObjectAlone) {
  EXPECT_OK(space.map(over(pages(0, 8), object(8))));
  pager->store().set_writable(false);
  guest.write_pattern(3, 3);
  EXPECT_EQ(guest.cpu.events(), 0U);
  EXPECT_TRUE(is_pattern(guest.page_at(3), 3));
  EXPECT_TRUE(is_pattern(guest.page_at(4), 104));
  EXPECT_TRUE(is_pattern(pager->store().page(3), 103)) << "the object was not written";
  EXPECT_EQ(guest.mmu.ranges(), 1U) << "one range for the whole entry";
}

TEST_F(FaultTest, SharedWritesReachTheObject) {
  auto shared = object(4);
  EXPECT_OK(space.map(over(pages(0, 4), shared, Sharing::Shared)));
  Guest other(arena, "other");
  EXPECT_OK(other.space->map(over(pages(16, 4), shared, Sharing::Shared)));
  guest.write_pattern(2, 9);
  EXPECT_TRUE(is_pattern(other.page_at(18), 9));
  EXPECT_TRUE(is_pattern(pager->store().page(2), 9));
  EXPECT_GT(pager->writes_asked(), 0U) << "the backing knew that it can be written";
}

TEST_F(FaultTest, PrivateMappingsOfOneObjectDoNotSeeEachOther) {
  auto file = object(4);
  pager->store().set_writable(false);
  EXPECT_OK(space.map(over(pages(0, 4), file)));
  Guest other(arena, "other");
  EXPECT_OK(other.space->map(over(pages(0, 4), file)));
  guest.write_pattern(1, 1);
  other.write_pattern(1, 2);
  EXPECT_TRUE(is_pattern(guest.page_at(1), 1));
  EXPECT_TRUE(is_pattern(other.page_at(1), 2));
}

TEST_F(FaultTest, PastTheObjectsEndIsItsOwnError) {
  EXPECT_OK(space.map(over(pages(0, 8), object(3))));
  EXPECT_TRUE(is_pattern(guest.page_at(2), 102));
  EXPECT_ERROR(guest.cpu.load(page(3)), ErrorKind::EndOfObject);
  EXPECT_ERROR(guest.cpu.store(page(7), 1), ErrorKind::EndOfObject);
}

TEST_F(FaultTest, ALastPartialPageIsAPage) {
  pager = std::make_shared<FakePager>("odd", 2 * kPage + 1, 50);
  EXPECT_OK(space.map(over(pages(0, 4), uvm::Object::create(pager))));
  EXPECT_TRUE(is_pattern(guest.page_at(2), 52));
  EXPECT_ERROR(guest.cpu.load(page(3)), ErrorKind::EndOfObject);
}

/// Whose pages are read when they are asked for.
class FilePager : public FakePager {
 public:
  using FakePager::FakePager;
  [[nodiscard]] uvm::Tenure tenure() const override { return uvm::Tenure::Revocable; }
};

TEST_F(FaultTest, WhoKeepsAllPagesIsAskedOnce) {
  auto kept = object(16);
  EXPECT_OK(space.map(over(pages(0, 16), kept, Sharing::Shared)));
  guest.mmu.remove(pages(0, 16));
  guest.mmu.update();
  const std::uint64_t asked = pager->gets();
  EXPECT_TRUE(is_pattern(guest.page_at(10), 110));
  EXPECT_EQ(pager->gets(), asked + 1);
  EXPECT_TRUE(is_pattern(guest.page_at(3), 103) && is_pattern(guest.page_at(15), 115));
  EXPECT_EQ(guest.cpu.events(), 1U);
}

TEST_F(FaultTest, WhoKeepsPagesAndAnswersInPiecesIsUsedAsFarAsThatGoes) {
  auto kept = object(16);
  pager->answer_at_most(4);
  EXPECT_OK(space.map(over(pages(0, 16), kept)));
  EXPECT_TRUE(is_pattern(guest.page_at(10), 110));
  EXPECT_TRUE(is_pattern(guest.page_at(13), 113));
  EXPECT_EQ(guest.cpu.events(), 1U);
}

TEST_F(FaultTest, ShortAnswersAreEnteredAsFarAsTheyGo) {
  pager = std::make_shared<FilePager>("file", 16 * kPage, 100);
  auto file = uvm::Object::create(pager);
  pager->answer_at_most(4);
  EXPECT_OK(space.map(over(pages(0, 16), file)));
  const std::uint64_t asked = pager->gets();
  EXPECT_TRUE(is_pattern(guest.page_at(3), 103));
  EXPECT_EQ(pager->gets(), asked) << "came with the first run";
  EXPECT_TRUE(is_pattern(guest.page_at(10), 110));
  EXPECT_EQ(pager->gets(), asked + 1) << "pages nobody wants yet are not asked for";
  EXPECT_TRUE(is_pattern(guest.page_at(13), 113));
  EXPECT_EQ(guest.cpu.events(), 1U);
}

TEST_F(FaultTest, AHoleIsFilledWithoutTouchingItsNeighbours) {
  EXPECT_OK(space.map(over(pages(0, 64), object(64), Sharing::Shared)));
  guest.mmu.remove(pages(20, 1));
  const std::uint64_t entered = space.statistics().pages_entered;
  guest.mmu.update();
  EXPECT_TRUE(is_pattern(guest.page_at(20), 120));
  EXPECT_EQ(space.statistics().pages_entered, entered + 1);
}

TEST_F(FaultTest, RandomAdviceEntersOnePageAtATime) {
  auto request = over(pages(0, 64), object(64));
  request.advice = uvm::Advice::Random;
  EXPECT_OK(space.map(request));
  EXPECT_EQ(guest.mmu.ranges(), 0U);
  guest.write_pattern(9, 9);
  EXPECT_EQ(space.statistics().pages_entered, 1U);
}

TEST_F(FaultTest, TruncationReachesTheOneWhoTouches) {
  auto file = object(8);
  EXPECT_OK(space.map(over(pages(0, 8), file, Sharing::Shared)));
  EXPECT_OK(space.map(over(pages(16, 8), file)));
  guest.write_pattern(21, 21);
  EXPECT_TRUE(is_pattern(guest.page_at(5), 105));
  pager->resize(4 * kPage);
  file->invalidate(
      *uvm::ObjectRange::from_bounds(uvm::ObjectOffset(4 * kPage), uvm::ObjectOffset(8 * kPage)));
  EXPECT_ERROR(guest.cpu.load(page(5)), ErrorKind::EndOfObject);
  EXPECT_ERROR(guest.cpu.load(page(22)), ErrorKind::EndOfObject);
  EXPECT_TRUE(is_pattern(guest.page_at(3), 103));
  EXPECT_TRUE(is_pattern(guest.page_at(21), 21)) << "a private page outlives what it was copied from";
  pager->resize(8 * kPage);
  EXPECT_TRUE(is_pattern(guest.page_at(5), 105));
}

TEST_F(FaultTest, StaleFramesAreNeverEntered) {
  auto file = object(8);
  bool once = true;
  EXPECT_OK(space.map(ram(pages(32, 1))));
  pager->before_answer([&](const uvm::PagerRequest&) {
    if (std::exchange(once, false))
      file->invalidate(*uvm::ObjectRange::from_size(uvm::ObjectOffset(), kPage));
  });
  EXPECT_OK(space.map(over(pages(0, 8), file)));
  EXPECT_GE(pager->gets(), 2U) << "the first answer was thrown away";
  EXPECT_TRUE(is_pattern(guest.page_at(0), 100));
}

TEST_F(FaultTest, AMapThatChangedMeanwhileIsLookedAtAgain) {
  auto request = over(pages(0, 8), object(8));
  request.advice = uvm::Advice::Random;
  EXPECT_OK(space.map(request));
  bool once = true;
  pager->before_answer([&](const uvm::PagerRequest&) {
    if (std::exchange(once, false)) {
      EXPECT_OK(space.unmap(pages(0, 8)));
    }
  });
  EXPECT_ERROR(space.fault(page(1), AccessKind::Read), ErrorKind::NoMapping);
  EXPECT_EQ(space.statistics().restarts, 1U);
  EXPECT_EQ(guest.mmu.ranges(), 0U) << "nothing was entered where nothing is mapped";
}

/// While the pager is asked for a page, the mapping is replaced; the guest then sees `expected`.
class ReplacedMeanwhileTest : public SpaceFixture, public ::testing::WithParamInterface<std::uint64_t> {};

TEST_P(ReplacedMeanwhileTest, TheAnswerCountsOnlyForThePageItIsAbout) {
  auto request = over(pages(0, 4), object(8));
  request.advice = uvm::Advice::Random;
  pager->answer_at_most(1);
  EXPECT_OK(space.map(request));
  bool once = true;
  pager->before_answer([&](const uvm::PagerRequest&) {
    if (!std::exchange(once, false)) return;
    EXPECT_OK(space.unmap(pages(0, 4)));
    request.offset = uvm::ObjectOffset(GetParam() * kPage);
    EXPECT_OK(space.map(request));
  });
  EXPECT_TRUE(is_pattern(guest.page_at(1), 101 + GetParam()));
  EXPECT_FALSE(once);
}

INSTANTIATE_TEST_SUITE_P(Offsets, ReplacedMeanwhileTest, ::testing::Values(0U, 1U, 2U));

TEST_F(FaultTest, AnotherObjectMeanwhileIsAskedItself) {
  auto first = over(pages(0, 4), object(8));
  first.advice = uvm::Advice::Random;
  EXPECT_OK(space.map(first));
  const auto first_pager = pager;
  auto second = over(pages(0, 4), object(8, 200));
  second.advice = uvm::Advice::Random;
  second.overlap = uvm::Overlap::Replace;
  bool once = true;
  first_pager->before_answer([&](const uvm::PagerRequest&) {
    if (!std::exchange(once, false)) return;
    EXPECT_OK(space.map(second));
  });
  EXPECT_TRUE(is_pattern(guest.page_at(1), 201));
}

TEST_F(FaultTest, RightsLostMeanwhileAreNotGiven) {
  auto request = over(pages(0, 8), object(8), Sharing::Shared);
  request.advice = uvm::Advice::Random;
  EXPECT_OK(space.map(request));
  bool once = true;
  pager->before_answer([&](const uvm::PagerRequest&) {
    if (std::exchange(once, false)) {
      EXPECT_OK(space.protect(pages(0, 8), Protection::Read));
    }
  });
  EXPECT_ERROR(guest.cpu.store(page(1), 1), ErrorKind::Protection);
}

TEST_F(FaultTest, FailuresLeaveThePageAsItWas) {
  EXPECT_OK(space.map(over(pages(0, 8), object(8))));
  space.drop_translations();
  guest.mmu.fail_enter_from(1);
  EXPECT_ERROR(guest.cpu.store(page(1), 1), ErrorKind::NoMemory);
  guest.mmu.fail_enter_from(0);
  guest.mmu.fail_promote_from(1);
  EXPECT_ERROR(space.fault(page(1), AccessKind::Read, FaultKind::WireMax), ErrorKind::NoMemory);
  guest.mmu.fail_promote_from(0);
  EXPECT_TRUE(is_pattern(guest.page_at(1), 101));
}

TEST_F(FaultTest, APromotionOutlivesAFailingEnter) {
  auto text = over(pages(0, 8), object(8));
  text.protection = Protection::ReadExecute;
  EXPECT_OK(space.map(text));
  guest.mmu.fail_enter_from(1);
  EXPECT_ERROR(space.fault(page(1), AccessKind::Read, FaultKind::WireMax), ErrorKind::NoMemory);
  EXPECT_EQ(guest.mmu.private_pages(), 1U);
  guest.mmu.fail_enter_from(0);
  EXPECT_OK(space.fault(page(1), AccessKind::Read, FaultKind::WireMax));
  EXPECT_EQ(guest.mmu.promotions(), 1U) << "the page was there";
}

TEST_F(FaultTest, WireMaxMakesTextPrivateAndKeepsItText) {
  auto text = over(pages(0, 8), object(8));
  text.protection = Protection::ReadExecute;
  EXPECT_OK(space.map(text));
  EXPECT_OK(space.fault(page(2), AccessKind::Read, FaultKind::Wire));
  EXPECT_EQ(guest.mmu.private_pages(), 0U);
  EXPECT_OK(space.fault(page(2), AccessKind::Read, FaultKind::WireMax));
  EXPECT_EQ(guest.mmu.private_pages(), 1U);
  EXPECT_TRUE(is_pattern(guest.page_at(2), 102));
  EXPECT_ERROR(guest.cpu.store(page(2), 1), ErrorKind::Protection);
  EXPECT_OK(guest.cpu.execute(page(2)));
}

TEST_F(FaultTest, WireMaxPreparesWhatNobodyMayAccessToday) {
  EXPECT_OK(space.map(over(pages(0, 8), object(8))));
  EXPECT_OK(space.protect(pages(0, 8), Protection::None));
  EXPECT_OK(space.fault(page(2), AccessKind::Read, FaultKind::WireMax));
  EXPECT_EQ(guest.mmu.private_pages(), 1U);
  EXPECT_FALSE(guest.mmu.extract(page(2)));
  EXPECT_ERROR(guest.cpu.load(page(2)), ErrorKind::Protection);
}

TEST_F(FaultTest, WireMaxDoesNotCutTheHostsRange) {
  EXPECT_OK(space.map(over(pages(0, 64), object(64))));
  for (std::uint64_t i = 0; i < 64; ++i) {
    EXPECT_OK(space.fault(page(i), AccessKind::Read, FaultKind::WireMax));
  }
  EXPECT_EQ(guest.mmu.private_pages(), 64U);
  EXPECT_EQ(guest.mmu.ranges(), 1U);
}

TEST_F(FaultTest, StatisticsFollowTheTable) {
  EXPECT_OK(space.map(ram(pages(0, 8))));
  EXPECT_OK(space.map(over(pages(8, 8), object(8))));
  guest.write_pattern(1, 1);
  const auto before = space.statistics();
  EXPECT_OK(space.fault(page(1), AccessKind::Read));
  EXPECT_EQ(space.statistics().already, before.already + 1);
  space.drop_translations();
  EXPECT_OK(space.fault(page(1), AccessKind::Read));
  EXPECT_EQ(space.statistics().anon, before.anon + 1);
  EXPECT_EQ(space.statistics().left_to_host, before.left_to_host + 1);
  EXPECT_OK(space.fault(page(9), AccessKind::Read));
  EXPECT_EQ(space.statistics().object, before.object + 1);
  EXPECT_OK(space.fault(page(10), AccessKind::Read, FaultKind::WireMax));
  EXPECT_EQ(space.statistics().object_copied, before.object_copied + 1);
  EXPECT_OK(space.fault(page(2), AccessKind::Read, FaultKind::WireMax));
  EXPECT_EQ(space.statistics().zero_filled, before.zero_filled + 1);
  EXPECT_EQ(space.statistics().faults, before.faults + 5);
}

}  // namespace fault_test
}  // namespace test
