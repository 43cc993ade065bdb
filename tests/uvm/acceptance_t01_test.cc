// T1 to T5: what somebody else's write does to pinned memory, or what the pinned one's own write does.
//
// T1 is told at length in wiremax_2001_12_31_test.cc. T5 (a debugger with more rights than the mapping's
// maximum) has no such debugger here: nobody can write beyond max_protection, and that is what is tested.
#include <gtest/gtest.h>

#include "tests/uvm/pin_fixture.h"

namespace test {
namespace acceptance_t01_test {

using uvm::ErrorKind;
using uvm::PinAccess;
using uvm::Protection;
using uvm::Sharing;

class AcceptanceT01 : public PinFixture {
 protected:
  Guest tracee{arena, "tracee"};
};
using AcceptanceT02 = AcceptanceT01;
using AcceptanceT03 = AcceptanceT01;
using AcceptanceT04 = AcceptanceT01;
using AcceptanceT05 = AcceptanceT01;

TEST_F(AcceptanceT01, APokeIntoTheSameFileLeavesThePinnedTextAlone) {
  const auto file = object(8);
  EXPECT_OK(space.map(text(pages(0, 8), file)));
  EXPECT_OK(tracee.space->map(text(pages(0, 8), file)));
  {
    const auto locked = pin(pages(2, 4), PinAccess::Read);
    ASSERT_TRUE(is_ok(locked));
    for (std::uint64_t i = 0; i < 8; ++i) poke(tracee, i, i);
    for (std::uint64_t i = 2; i < 6; ++i)
      EXPECT_EQ(guest.mmu.extract(page(i))->frame, locked->frame_at(page(i)));
    EXPECT_TRUE(uses_pinned_frames(guest, *locked));
    EXPECT_TRUE(is_pattern(dma(*locked, 3), 103));
  }
  expect_nothing_pinned();
  EXPECT_TRUE(is_pattern(tracee.page_at(3), 3));
}

TEST_F(AcceptanceT02, ASharedPinnedMappingKeepsTheObjectsPage) {
  const auto file = kept_object(4);
  EXPECT_OK(space.map(over(pages(0, 4), file, Sharing::Shared)));
  EXPECT_OK(tracee.space->map(text(pages(0, 4), file)));
  {
    const auto locked = pin(pages(0, 4));
    ASSERT_TRUE(is_ok(locked));
    EXPECT_EQ(locked->frame_at(page(1)), keeper->store().frame(1));
    EXPECT_EQ(keeper->held(), 4U);
    EXPECT_OK(tracee.cpu.execute(page(1)));
    poke(tracee, 1, 7);
    ASSERT_TRUE(guest.mmu.extract(page(1)));
    EXPECT_EQ(guest.mmu.extract(page(1))->frame, keeper->store().frame(1));
    EXPECT_TRUE(uses_pinned_frames(guest, *locked));
    fill_pattern(dma(*locked, 1), 9);
    EXPECT_TRUE(is_pattern(guest.page_at(1), 9));
    EXPECT_TRUE(is_pattern(tracee.page_at(1), 7));
  }
  expect_nothing_pinned();
}

TEST_F(AcceptanceT03, APokeIntoOnesOwnPinnedFilePageFindsThePageThere) {
  EXPECT_OK(space.map(text(pages(0, 4), object(4))));
  const auto locked = pin(pages(0, 4), PinAccess::Read);
  ASSERT_TRUE(is_ok(locked));
  poke(guest, 1, 7);
  EXPECT_TRUE(is_pattern(dma(*locked, 1), 7));
  EXPECT_TRUE(uses_pinned_frames(guest, *locked));
}

TEST_F(AcceptanceT03, APokeIntoOnesOwnPinnedZeroPageFindsThePageThere) {
  auto request = ram(pages(0, 4));
  request.protection = Protection::Read;
  EXPECT_OK(space.map(request));
  const auto locked = pin(pages(0, 4), PinAccess::Read);
  ASSERT_TRUE(is_ok(locked));
  poke(guest, 1, 7);
  EXPECT_TRUE(is_pattern(dma(*locked, 1), 7));
  EXPECT_TRUE(uses_pinned_frames(guest, *locked));
}

TEST_F(AcceptanceT03, APokeIntoAPinnedPageThatAForkOnceSharedFindsThePageThere) {
  EXPECT_OK(space.map(ram(pages(0, 4))));
  guest.write_pattern(1, 1);
  Guest child(arena, "child", guest);
  ASSERT_TRUE(space.entry_at(page(1))->needs_copy);
  EXPECT_OK(space.protect(pages(0, 4), Protection::Read));
  const auto locked = pin(pages(0, 4), PinAccess::Read);
  ASSERT_TRUE(is_ok(locked));
  poke(guest, 1, 7);
  EXPECT_TRUE(is_pattern(dma(*locked, 1), 7));
  EXPECT_TRUE(uses_pinned_frames(guest, *locked));
  EXPECT_TRUE(is_pattern(child.page_at(1), 1));
}

TEST_F(AcceptanceT04, ReadOnlyWhenPinnedWrittenLater) {
  auto request = over(pages(0, 4), object(4));
  request.protection = Protection::Read;
  EXPECT_OK(space.map(request));
  {
    const auto locked = pin(pages(0, 4), PinAccess::Read);
    ASSERT_TRUE(is_ok(locked));
    EXPECT_OK(space.protect(pages(0, 4), Protection::ReadWrite));
    guest.write_pattern(2, 7);
    EXPECT_TRUE(is_pattern(dma(*locked, 2), 7));
    EXPECT_TRUE(uses_pinned_frames(guest, *locked));
  }
  expect_nothing_pinned();
  EXPECT_TRUE(is_pattern(guest.page_at(2), 7));
}

TEST_F(AcceptanceT05, NobodyWritesBeyondTheMaximum) {
  const auto file = kept_object(4);
  auto request = text(pages(0, 4), file);
  request.max_protection = Protection::ReadExecute;
  EXPECT_OK(space.map(request));
  EXPECT_OK(tracee.space->map(text(pages(0, 4), file)));
  {
    const auto locked = pin(pages(0, 4), PinAccess::Read);
    ASSERT_TRUE(is_ok(locked));
    EXPECT_EQ(locked->frame_at(page(1)), keeper->store().frame(1)) << "nothing can ever replace it here";
    EXPECT_EQ(keeper->held(), 4U);
    EXPECT_ERROR(pin(pages(0, 4), PinAccess::Write), ErrorKind::Protection);
    EXPECT_ERROR(space.protect(pages(0, 4), Protection::All), ErrorKind::Protection);
    EXPECT_ERROR(uvm::Access::write(space, page(1), pattern(kPage, 7)), ErrorKind::Protection);
    poke(tracee, 1, 7);
    ASSERT_TRUE(guest.mmu.extract(page(1)));
    EXPECT_TRUE(uses_pinned_frames(guest, *locked));
  }
  expect_nothing_pinned();
}

}  // namespace acceptance_t01_test
}  // namespace test
