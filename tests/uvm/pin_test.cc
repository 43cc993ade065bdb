#include "uvm/pin.h"

#include <gtest/gtest.h>

#include <limits>
#include <optional>

#include "tests/uvm/pin_fixture.h"

namespace test {
namespace pin_test {

using uvm::ErrorKind;
using uvm::Pin;
using uvm::PinAccess;
using uvm::PinOwner;
using uvm::Protection;

class PinTest : public PinFixture {
 protected:
  void SetUp() override { EXPECT_OK(space.map(ram(pages(0, 16)))); }
};

TEST_F(PinTest, RequestsThatMakeNoSense) {
  EXPECT_ERROR(pin(pages(1, 0)), ErrorKind::Invalid);
  EXPECT_ERROR(pin(*uvm::GpaRange::from_size(uvm::Gpa(1), kPage)), ErrorKind::Invalid);
  EXPECT_ERROR(pin(*uvm::GpaRange::from_size(uvm::Gpa(0), 1)), ErrorKind::Invalid);
  EXPECT_ERROR(pin(pages(Guest::kBytes / kPage - 1, 2)), ErrorKind::Invalid);
  EXPECT_ERROR(pin(*uvm::GpaRange::from_size(uvm::Gpa(~std::uint64_t{0} << 12), 0)), ErrorKind::Invalid);
  EXPECT_ERROR(pin(pages(15, 2)), ErrorKind::NoMapping);
  EXPECT_OK(space.unmap(pages(7, 1)));
  const auto hole = pin(pages(4, 8));
  ASSERT_TRUE(fails_with(hole, ErrorKind::NoMapping));
  EXPECT_NE(hole.error().text().find("0x7000"), std::string::npos) << hole.error().text();
  EXPECT_OK(space.protect(pages(2, 1), Protection::Read));
  EXPECT_ERROR(pin(pages(0, 4), PinAccess::Write), ErrorKind::Protection);
  EXPECT_OK(pin(pages(0, 4), PinAccess::Read));
  EXPECT_OK(space.protect(pages(2, 1), Protection::None));
  EXPECT_ERROR(pin(pages(0, 4), PinAccess::Read), ErrorKind::Protection);
  expect_nothing_pinned();
}

TEST_F(PinTest, RefusalsNameRangeAndOwner) {
  const auto held = pin(pages(4, 2));
  ASSERT_TRUE(is_ok(held));
  const auto refused = space.unmap(pages(5, 8));
  ASSERT_TRUE(fails_with(refused, ErrorKind::Pinned));
  EXPECT_EQ(
      refused.error().text(),
      "space guest: unmap 0x5000+0x8000: range 0x4000+0x2000 is pinned by vfio0; unpin it, or leave that "
      "range out");
  auto replacing = ram(pages(3, 2));
  replacing.overlap = uvm::Overlap::Replace;
  EXPECT_ERROR(space.map(replacing), ErrorKind::Pinned);
  EXPECT_ERROR(space.map(ram(pages(3, 2))), ErrorKind::Busy) << "something is there, pinned or not";
  EXPECT_EQ(space.entries().size(), 1U);
  EXPECT_OK(space.unmap(pages(6, 2)));
  EXPECT_OK(space.unmap(pages(0, 4)));
  EXPECT_TRUE(uses_pinned_frames(guest, *held));
}

TEST_F(PinTest, PinsNestAndEachEndsAlone) {
  std::optional<Pin> outer = pin(pages(0, 8)).value();
  std::optional<Pin> inner = pin(pages(2, 2)).value();
  EXPECT_EQ(space.pin_count(page(1)), 1U);
  EXPECT_EQ(space.pin_count(page(2)), 2U);
  EXPECT_EQ(space.pin_statistics().pins, 2U);
  EXPECT_EQ(space.pin_statistics().bytes, 8 * kPage) << "a page counts once";
  EXPECT_EQ(vfio->pinned(), 10 * kPage) << "and to its owner as often as it is held";
  EXPECT_EQ(inner->frame_at(page(3)), outer->frame_at(page(3)));
  EXPECT_EQ(space.entry_at(page(0))->wired, 8 * kPage);
  outer.reset();
  EXPECT_EQ(space.pin_count(page(2)), 1U);
  EXPECT_EQ(space.entry_at(page(0))->wired, 2 * kPage);
  EXPECT_ERROR(space.unmap(pages(0, 16)), ErrorKind::Pinned);
  EXPECT_OK(space.unmap(pages(0, 2)));
  EXPECT_TRUE(uses_pinned_frames(guest, *inner));
  inner.reset();
  expect_nothing_pinned();
  EXPECT_OK(space.unmap(pages(0, 16)));
}

TEST_F(PinTest, LimitsOfTheOwner) {
  vfio = PinOwner::create("vfio0", 6 * kPage);
  const auto held = pin(pages(0, 4));
  ASSERT_TRUE(is_ok(held));
  const auto refused = pin(pages(2, 3));
  ASSERT_TRUE(fails_with(refused, ErrorKind::NoMemory));
  EXPECT_NE(refused.error().text().find("vfio0 may pin 0x6000 bytes, and has 0x4000"), std::string::npos)
      << refused.error().text();
  EXPECT_OK(pin(pages(2, 2)));
  EXPECT_OK(Pin::create(space, pages(0, 16), PinAccess::Write, PinOwner::create("other")));
  EXPECT_EQ(vfio->pinned(), 4 * kPage);
}

TEST_F(PinTest, LimitsOfTheSpace) {
  space.limit_pins(4 * kPage);
  EXPECT_EQ(space.pin_statistics().limit, 4 * kPage);
  EXPECT_ERROR(pin(pages(0, 5)), ErrorKind::NoMemory);
  EXPECT_EQ(vfio->pinned(), 0U) << "nothing is charged for it";
  const auto held = pin(pages(0, 3));
  ASSERT_TRUE(is_ok(held));
  EXPECT_OK(pin(pages(1, 2))) << "no more of the space is pinned by that";
  EXPECT_ERROR(pin(pages(2, 3)), ErrorKind::NoMemory);
  EXPECT_OK(pin(pages(2, 2)));
  space.limit_pins(kPage);
  EXPECT_OK(pin(pages(0, 3))) << "what is pinned stays so and may be pinned again";
  EXPECT_ERROR(pin(pages(3, 1)), ErrorKind::NoMemory);
}

TEST_F(PinTest, StatisticsRememberWhatWas) {
  { EXPECT_OK(pin(pages(0, 4))); }
  const auto held = pin(pages(0, 2));
  EXPECT_ERROR(pin(pages(1000, 2)), ErrorKind::NoMapping);
  const uvm::PinStatistics now = space.pin_statistics();
  EXPECT_EQ(now.bytes, 2 * kPage);
  EXPECT_EQ(now.most_bytes, 4 * kPage);
  EXPECT_EQ(now.made, 2U);
  EXPECT_GT(now.spent.count(), 0);
  EXPECT_LE(space.pins().front().since, std::chrono::steady_clock::now());
  EXPECT_GT(space.pins().front().since, std::chrono::steady_clock::time_point{});
}

TEST_F(PinTest, APageCanBePinnedOnlySoOften) {
  uvm::PinTable table;
  const auto add = [&](uvm::GpaRange range) {
    return table.add({range, PinAccess::Read, uvm::ForkPolicy::Copy, "x", {}}, {&range, 1});
  };
  for (std::uint64_t i = 0; i < uvm::kMaxPinsOfPage; ++i) {
    ASSERT_TRUE(is_ok(add(pages(i % 2, 2))));
  }
  EXPECT_ERROR(add(pages(1, 1)), ErrorKind::NoMemory);
  EXPECT_OK(add(pages(2, 1)));
}

TEST_F(PinTest, MovingAPinMovesTheHold) {
  auto a = pin(pages(0, 2)).value();
  Pin b = std::move(a);
  EXPECT_EQ(space.pin_statistics().pins, 1U);
  b = pin(pages(4, 1)).value();
  EXPECT_EQ(space.pin_statistics().pins, 1U);
  EXPECT_EQ(vfio->pinned(), kPage);
  EXPECT_EQ(space.pins().front().range, pages(4, 1));
  Pin& same = b;
  b = std::move(same);
  EXPECT_EQ(space.pins().front().owner, "vfio0");
}

TEST_F(PinTest, FramesAreListedInRuns) {
  EXPECT_OK(space.map(over(pages(16, 4), kept_object(4), uvm::Sharing::Shared)));
  const auto held = pin(pages(12, 8));
  ASSERT_TRUE(is_ok(held));
  ASSERT_EQ(held->runs().size(), 2U);
  EXPECT_EQ(held->runs()[0].range, pages(12, 4));
  EXPECT_EQ(held->runs()[0].object, nullptr);
  EXPECT_EQ(held->runs()[1].range, pages(16, 4));
  EXPECT_EQ(held->runs()[1].first, keeper->store().frame(0));
  EXPECT_NE(held->runs()[1].object, nullptr);
  EXPECT_EQ(held->frame_at(page(18) + 5), keeper->store().frame(2));
}

TEST_F(PinTest, WhatIsPrivateAlreadyNeedsNoFault) {
  EXPECT_OK(space.map(over(pages(16, 8), object(8))));
  for (const std::uint64_t i : {2U, 3U, 4U, 9U, 17U}) guest.write_pattern(i, i);
  const std::uint64_t faults = space.statistics().faults;
  const auto held = pin(pages(1, 19));
  ASSERT_TRUE(is_ok(held));
  EXPECT_EQ(space.statistics().faults - faults, 3U) << "the object's pages; the host made the zeros at once";
  EXPECT_TRUE(is_zero(guest.page_at(8)));
  EXPECT_EQ(held->runs().size(), 1U) << "all of it in place";
  EXPECT_TRUE(uses_pinned_frames(guest, *held));
  EXPECT_TRUE(is_pattern(dma(*held, 3), 3));
  EXPECT_TRUE(is_pattern(dma(*held, 17), 17));
  EXPECT_TRUE(is_pattern(dma(*held, 18), 102));
}

TEST_F(PinTest, TranslationsAreNotWhatAPinHolds) {
  EXPECT_OK(space.map(over(pages(16, 4), kept_object(4), uvm::Sharing::Shared)));
  {
    const auto held = pin(pages(10, 10));
    ASSERT_TRUE(is_ok(held));
    for (int i = 0; i < 3; ++i) {
      space.drop_translations();
      EXPECT_TRUE(uses_pinned_frames(guest, *held));
      EXPECT_OK(uvm::Access::write(space, page(11), pattern(kPage, 1)));
      EXPECT_OK(uvm::Access::write(space, page(17), pattern(kPage, 2)));
      EXPECT_TRUE(is_pattern(dma(*held, 11), 1));
      EXPECT_TRUE(is_pattern(dma(*held, 17), 2));
      fill_pattern(dma(*held, 11), 3);
      EXPECT_TRUE(is_pattern(guest.page_at(11), 3));
    }
    space.drop_translations();
  }
  EXPECT_EQ(guest.mmu.ranges(), 0U) << "unpinning entered nothing";
  expect_nothing_pinned();
}

TEST_F(PinTest, WhileAPagerSleepsTheRangeCannotGo) {
  EXPECT_OK(space.unmap(pages(0, 16)));
  auto request = over(pages(0, 4), object(4));
  request.advice = uvm::Advice::Random;
  EXPECT_OK(space.map(request));
  int asked = 0;
  pager->before_answer([&](const uvm::PagerRequest&) {
    ++asked;
    EXPECT_ERROR(space.unmap(pages(3, 1)), ErrorKind::Pinned);
    EXPECT_OK(space.protect(pages(0, 4), asked % 2 != 0 ? Protection::Read : Protection::All));
  });
  const auto held = pin(pages(0, 4));
  pager->before_answer(nullptr);
  EXPECT_OK(space.protect(pages(0, 4), Protection::All));
  ASSERT_TRUE(is_ok(held));
  EXPECT_GE(asked, 4);
  EXPECT_TRUE(uses_pinned_frames(guest, *held));
}

}  // namespace pin_test
}  // namespace test
