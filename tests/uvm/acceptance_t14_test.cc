// T14: a pinned page of an object is truncated, the object grows again, the page is touched, then unpinned.
#include <gtest/gtest.h>

#include <utility>

#include "tests/uvm/pin_fixture.h"

namespace test {
namespace acceptance_t14_test {

using uvm::ErrorKind;
using uvm::ObjectOffset;
using uvm::Sharing;

class AcceptanceT14 : public PinFixture {
 protected:
  void truncate(uvm::Object& file, std::uint64_t count) {
    keeper->resize(count * kPage);
    file.invalidate(*uvm::ObjectRange::from_size(ObjectOffset(count * kPage), 16 * kPage));
  }
};

TEST_F(AcceptanceT14, TheFrameStaysUntilThePinEnds) {
  const auto file = kept_object(4);
  EXPECT_OK(space.map(over(pages(0, 4), file, Sharing::Shared)));
  {
    const auto held = pin(pages(0, 4));
    ASSERT_TRUE(is_ok(held));
    truncate(*file, 2);
    EXPECT_FALSE(guest.mmu.extract(page(3))) << "truncation takes the translation, pinned or not";
    EXPECT_ERROR(guest.cpu.load(page(3)), ErrorKind::EndOfObject);
    EXPECT_EQ(keeper->held(3), 1U) << "the device's page is still there";
    EXPECT_TRUE(is_pattern(dma(*held, 3), 103));
    EXPECT_TRUE(guest.mmu.extract(page(1))) << "what was not truncated was not touched";
    truncate(*file, 4);
    guest.write_pattern(3, 7);
    EXPECT_EQ(keeper->held(3), 1U) << "touching it again held nothing more";
  }
  expect_nothing_pinned();
  EXPECT_TRUE(is_pattern(guest.page_at(3), 7));
  EXPECT_OK(space.unmap(pages(0, 4)));
}

TEST_F(AcceptanceT14, PrivatePagesAreNotTheObjectsToTake) {
  const auto file = kept_object(4);
  EXPECT_OK(space.map(over(pages(0, 4), file)));
  const auto held = pin(pages(0, 4));
  ASSERT_TRUE(is_ok(held));
  EXPECT_EQ(keeper->held(), 0U);
  truncate(*file, 1);
  fill_pattern(dma(*held, 3), 5);
  EXPECT_TRUE(uses_pinned_frames(guest, *held));
  EXPECT_TRUE(is_pattern(guest.page_at(3), 5));
}

TEST_F(AcceptanceT14, APageThatGoesWhileItIsPinnedIsAskedForAgain) {
  EXPECT_OK(space.map(over(pages(0, 2), kept_object(2), Sharing::Shared)));
  keeper->refuse_holds(3);
  EXPECT_OK(pin(pages(0, 2)));
  keeper->refuse_holds(100);
  EXPECT_ERROR(pin(pages(0, 2)), ErrorKind::Busy);
  keeper->refuse_holds(0);
  expect_nothing_pinned();
}

TEST_F(AcceptanceT14, ATruncationBetweenTheAnswerAndTheHoldMakesThePinLookAgain) {
  const auto file = kept_object(2);
  auto request = over(pages(0, 2), file, Sharing::Shared);
  request.advice = uvm::Advice::Random;
  EXPECT_OK(space.map(request));
  int truncations = 1;
  keeper->before_answer([&](const uvm::PagerRequest&) {
    if (truncations-- > 0) file->invalidate(*uvm::ObjectRange::from_size(ObjectOffset(), kPage));
  });
  const auto held = pin(pages(0, 2));
  keeper->before_answer(nullptr);
  ASSERT_TRUE(is_ok(held));
  EXPECT_EQ(keeper->gets(), 2U) << "both pages, and both again";
  EXPECT_TRUE(uses_pinned_frames(guest, *held));
}

TEST_F(AcceptanceT14, AStaleAnswerIsNotHeldThoughNothingIsEntered) {
  const auto file = kept_object(1);
  EXPECT_OK(space.map(over(pages(0, 1), file, Sharing::Shared)));
  space.drop_translations();
  bool is_first = true;
  keeper->before_answer([&](const uvm::PagerRequest&) {
    if (!std::exchange(is_first, false)) return;
    EXPECT_OK(space.protect(pages(0, 1), uvm::Protection::None));  // so there is no translation to make
    file->invalidate(*uvm::ObjectRange::from_size(ObjectOffset(), kPage));
  });
  const std::uint64_t gets = keeper->gets();
  EXPECT_OK(pin(pages(0, 1)));
  keeper->before_answer(nullptr);
  EXPECT_EQ(keeper->gets(), gets + 2) << "asked again";
}

}  // namespace acceptance_t14_test
}  // namespace test
