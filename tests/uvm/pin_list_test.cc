// Scatter lists: many ranges, one pin.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "tests/uvm/pin_fixture.h"
#include "uvm/pin.h"

namespace test {
namespace pin_list_test {

using uvm::ErrorKind;
using uvm::GpaRange;
using uvm::Pin;
using uvm::PinRequest;

class PinList : public PinFixture {
 protected:
  void SetUp() override {
    EXPECT_OK(space.map(ram(pages(0, 64))));
    request_.owner = vfio;
  }
  auto pin_list(const std::vector<GpaRange>& list) { return Pin::create(space, list, request_); }

  PinRequest request_;
};

TEST_F(PinList, KeepsItsOrderAndHoldsEachPageOnce) {
  {
    const auto held = pin_list({pages(5, 1), pages(1, 2), pages(2, 1), pages(6, 2), pages(40, 1)});
    ASSERT_TRUE(is_ok(held));
    EXPECT_TRUE(std::ranges::equal(
        held->ranges(), std::vector{pages(5, 1), pages(1, 2), pages(2, 1), pages(6, 2), pages(40, 1)}));
    EXPECT_EQ(held->range(), pages(1, 40));
    EXPECT_EQ(held->size(), 6 * kPage);
    EXPECT_EQ(vfio->pinned(), 6 * kPage);
    EXPECT_EQ(space.pin_statistics().pins, 1U);
    EXPECT_EQ(space.pin_statistics().bytes, 6 * kPage);
    EXPECT_EQ(space.pin_count(page(2)), 1U);
    EXPECT_EQ(space.pin_count(page(3)), 0U);
    ASSERT_EQ(space.pins().size(), 3U) << "listings show a range each";
    EXPECT_EQ(space.pins()[1].range, pages(5, 3));
    EXPECT_EQ(held->runs_of(pages(3, 2)).size(), 0U);
    const auto runs = held->runs_of(pages(2, 1));
    ASSERT_EQ(runs.size(), 1U);
    EXPECT_EQ(runs[0].range, pages(2, 1));
    EXPECT_EQ(runs[0].first, held->frame_at(page(2)));
  }
  expect_nothing_pinned();
}

TEST_F(PinList, IsAllOrNothing) {
  EXPECT_ERROR(pin_list({}), ErrorKind::Invalid);
  EXPECT_ERROR(pin_list({pages(5, 1), pages(100, 1)}), ErrorKind::NoMapping);
  EXPECT_ERROR(pin_list({pages(5, 1), pages(7, 0)}), ErrorKind::Invalid);
  EXPECT_OK(space.protect(pages(9, 1), uvm::Protection::Read));
  EXPECT_ERROR(pin_list({pages(1, 1), pages(9, 1), pages(20, 1)}), ErrorKind::Protection);
  expect_nothing_pinned();
}

TEST_F(PinList, OnlyItsRangesAreRefusedToOthers) {
  const auto held = pin_list({pages(4, 2), pages(20, 4)});
  ASSERT_TRUE(is_ok(held));
  EXPECT_OK(space.unmap(pages(6, 14)));
  const auto refused = space.unmap(pages(22, 8));
  ASSERT_TRUE(fails_with(refused, ErrorKind::Pinned));
  EXPECT_NE(refused.error().text().find("range 0x14000+0x4000 is pinned by vfio0"), std::string::npos)
      << refused.error().text();
}

TEST_F(PinList, CountsAgainstTheLimits) {
  space.limit_pins(4 * kPage);
  EXPECT_ERROR(pin_list({pages(0, 2), pages(10, 3)}), ErrorKind::NoMemory);
  expect_nothing_pinned();
  EXPECT_OK(pin_list({pages(0, 2), pages(10, 2), pages(1, 1)}));
  request_.owner = uvm::PinOwner::create("small", 3 * kPage);
  EXPECT_ERROR(pin_list({pages(0, 2), pages(10, 2)}), ErrorKind::NoMemory);
  EXPECT_EQ(request_.owner->pinned(), 0U);
}

TEST_F(PinList, PagesAlreadyThereAndAbsentOnesMix) {
  for (const std::uint64_t number : {3U, 11U, 12U, 30U}) guest.write_pattern(number, number);
  const auto held = pin_list({pages(30, 2), pages(2, 2), pages(10, 4)});
  ASSERT_TRUE(is_ok(held));
  for (const std::uint64_t number : {3U, 11U, 12U, 30U}) {
    EXPECT_TRUE(std::ranges::equal(dma(*held, number), pattern(kPage, number))) << number;
    EXPECT_TRUE(std::ranges::equal(guest.page_at(number), pattern(kPage, number))) << number;
  }
  EXPECT_EQ(dma(*held, 13)[0], std::byte{0});
}

TEST_F(PinList, AcrossMappingsOfEveryKind) {
  const auto object = kept_object(16);
  auto shared = over(pages(64, 16), object);
  shared.sharing = uvm::Sharing::Shared;
  EXPECT_OK(space.map(shared));
  keeper->answer_at_most(3);
  {
    const auto held = pin_list({pages(70, 2), pages(60, 8), pages(79, 1)});
    ASSERT_TRUE(is_ok(held));
    EXPECT_EQ(object->holds(), 7U);
    EXPECT_EQ(held->runs_of(pages(64, 4)).front().object, object);
    EXPECT_EQ(held->runs_of(pages(60, 4)).front().object, nullptr);
  }
  EXPECT_EQ(object->holds(), 0U);
  expect_nothing_pinned();
}

TEST_F(PinList, FramesThatFollowEachOtherMayBeOfPagesThatAreApart) {
  const auto object = kept_object(4);
  auto low = over(pages(64, 2), object, uvm::Sharing::Shared);
  EXPECT_OK(space.map(low));
  auto high = over(pages(80, 2), object, uvm::Sharing::Shared);
  high.offset = uvm::ObjectOffset(2 * kPage);
  EXPECT_OK(space.map(high));
  const auto held = pin_list({pages(64, 2), pages(80, 2)});
  ASSERT_TRUE(is_ok(held));
  ASSERT_EQ(held->runs().size(), 2U);
  EXPECT_EQ(held->runs()[1].range, pages(80, 2));
  EXPECT_EQ(held->frame_at(page(80)), held->frame_at(page(65)) + 1);
}

TEST_F(PinList, APageThatGoesInTheMiddleOfARunLeavesNoHoldBehind) {
  EXPECT_OK(space.map(over(pages(64, 8), kept_object(8), uvm::Sharing::Shared)));
  keeper->refuse_hold_of(5);
  {
    const auto held = pin_list({pages(64, 8)});
    ASSERT_TRUE(is_ok(held));
    EXPECT_EQ(keeper->held(), 8U);
  }
  expect_nothing_pinned();
}

}  // namespace pin_list_test
}  // namespace test
