// T8 to T10: a pin that fails leaves nothing behind, pins that were there stay, and a space that ends lets go
// of everything.
//
// T9 speaks of wiring a whole space with one call; there is no such call, so it is a pin of everything that
// is mapped, which has to fail and to leave an older pin alone.
#include <gtest/gtest.h>

#include "tests/uvm/pin_fixture.h"

namespace test {
namespace acceptance_t08_test {

using uvm::ErrorKind;
using uvm::Sharing;

class AcceptanceT08 : public PinFixture {
 protected:
  /// Three mappings next to each other; the second one's third page cannot be had.
  void map_three() {
    EXPECT_OK(space.map(over(pages(0, 4), kept_object(4), Sharing::Shared)));
    auto second = over(pages(4, 4), object(4));
    second.advice = uvm::Advice::Random;
    pager->fail_page(2, ErrorKind::PagerIo);
    EXPECT_OK(space.map(second));
    EXPECT_OK(space.map(ram(pages(8, 4))));
  }
};
using AcceptanceT09 = AcceptanceT08;
using AcceptanceT10 = PinFixture;

TEST_F(AcceptanceT08, FailingInTheMiddleOfTheSecondMapping) {
  map_three();
  const auto failed = pin(pages(0, 12));
  ASSERT_TRUE(fails_with(failed, ErrorKind::PagerIo));
  EXPECT_NE(failed.error().text().find("pin 0x0+0xc000 for vfio0"), std::string::npos)
      << failed.error().text();
  expect_nothing_pinned();
  for (const uvm::EntryInfo& entry : space.entries()) EXPECT_EQ(entry.wired, 0U);
  EXPECT_EQ(space.entries().size(), 3U) << "nothing was cut";
  pager->clear_failures();
  EXPECT_OK(pin(pages(0, 12)));
  expect_nothing_pinned();
}

TEST_F(AcceptanceT08, FailingAtEveryAllocation) {
  EXPECT_OK(space.map(over(pages(0, 2), kept_object(2), Sharing::Shared)));
  EXPECT_OK(space.map(ram(pages(2, 3))));
  EXPECT_OK(space.map(over(pages(5, 3), object(3))));
  std::uint64_t failures = 0;
  for (std::uint64_t n = 1; n < 20; ++n) {
    guest.mmu.fail_promote_from(n);
    const auto held = pin(pages(0, 8));
    guest.mmu.fail_promote_from(0);
    if (held) break;
    ++failures;
    EXPECT_ERROR(held, ErrorKind::NoMemory);
    expect_nothing_pinned();
    EXPECT_OK(space.unmap(pages(5, 3)));  // private pages that were made are there, but nobody holds them
    EXPECT_OK(space.map(over(pages(5, 3), object(3))));
    EXPECT_OK(space.unmap(pages(2, 3)));
    EXPECT_OK(space.map(ram(pages(2, 3))));
  }
  EXPECT_EQ(failures, 6U) << "one a private page";
}

TEST_F(AcceptanceT09, AnOlderPinSurvivesAFailure) {
  map_three();
  const auto older = pin(pages(2, 4));
  ASSERT_TRUE(is_ok(older));
  EXPECT_ERROR(pin(pages(0, 12)), ErrorKind::PagerIo);
  EXPECT_EQ(space.pin_statistics().pins, 1U);
  EXPECT_EQ(space.pin_statistics().bytes, 4 * kPage);
  EXPECT_EQ(vfio->pinned(), 4 * kPage);
  EXPECT_EQ(keeper->held(), 2U);
  EXPECT_EQ(keeper->held(2), 1U);
  EXPECT_TRUE(uses_pinned_frames(guest, *older));
  EXPECT_ERROR(space.unmap(pages(3, 1)), ErrorKind::Pinned);
}

TEST_F(AcceptanceT10, ASpaceEndsWithItsPins) {
  const auto file = kept_object(4);
  {
    Guest other(arena, "other");
    EXPECT_OK(other.space->map(over(pages(0, 4), file, Sharing::Shared)));
    const auto held = uvm::Pin::create(*other.space, pages(0, 4), uvm::PinAccess::Write, vfio);
    ASSERT_TRUE(is_ok(held));
    EXPECT_EQ(keeper->held(), 4U);
  }
  EXPECT_EQ(keeper->held(), 0U);
  EXPECT_EQ(file->holds(), 0U);
  expect_nothing_pinned();
}

TEST_F(AcceptanceT10, APinThatOutlivesItsSpaceHoldsTheObjectsPages) {
  const auto file = kept_object(4);
  auto other = std::make_unique<Guest>(arena, "other");
  EXPECT_OK(other->space->map(over(pages(0, 4), file, Sharing::Shared)));
  EXPECT_OK(other->space->map(ram(pages(4, 4))));
  auto held = uvm::Pin::create(*other->space, pages(0, 8), uvm::PinAccess::Write, vfio);
  ASSERT_TRUE(is_ok(held));
  other->space = nullptr;  // frees the private pages: the MMU would say if any were left
  EXPECT_EQ(file->uses(), 0U);
  EXPECT_EQ(file->holds(), 4U);
  EXPECT_EQ(vfio->pinned(), 8 * kPage);
  held = uvm::Error();
  EXPECT_EQ(file->holds(), 0U);
  expect_nothing_pinned();
}

}  // namespace acceptance_t08_test
}  // namespace test
