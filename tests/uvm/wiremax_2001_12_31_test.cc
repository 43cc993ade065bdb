// The story of 31 December 2001, step by step: a debugger writes to text that another process has locked.
//
// W and T map the same file privately, to be read and executed. W locks a page of it. A debugger writes a
// breakpoint into the same page of T, later into that of W, and W unlocks. NetBSD at that time lost the page
// that W had locked and panicked when it was unlocked; with VM_FAULT_WIREMAX, W locks a copy of its own.
//
// Here the debugger's write into T cannot reach W however W was wired, because an amap knows who maps it
// (rule D4). What the kind of wiring decides is whether the wired page stays the page: for WireMax it does to
// the end, for Wire it does not survive the write into W, and the last test keeps that failure.
#include <gtest/gtest.h>

#include "tests/uvm/pin_fixture.h"

namespace test {
namespace wiremax_2001_12_31_test {

using uvm::AccessKind;
using uvm::FaultKind;
using uvm::Protection;

class Wiremax20011231 : public PinFixture {
 protected:
  /// Wires page 0 of W by hand and says which frame that is.
  uvm::Frame wire(FaultKind kind) {
    EXPECT_OK(space.fault(page(0), AccessKind::Read, kind));
    return *guest.mmu.extract(page(0))->frame;
  }
  bool is_file_page(uvm::Frame frame) { return frame == pager->store().frame(0); }

  std::shared_ptr<uvm::Object> file = object(4);
  Guest tracee{arena, "tracee"};

  void SetUp() override {
    pager->store().set_writable(false);  // nobody's write may reach the file
    EXPECT_OK(space.map(text(pages(0, 4), file)));
    EXPECT_OK(tracee.space->map(text(pages(0, 4), file)));
  }
};

TEST_F(Wiremax20011231, WithAPin) {
  // 1. W locks its text. It gets a page of its own at once, mapped as text still.
  auto locked = pin(pages(0, 1), uvm::PinAccess::Read);
  ASSERT_TRUE(is_ok(locked));
  const uvm::Frame mine = locked->frame_at(page(0));
  EXPECT_FALSE(is_file_page(mine));
  EXPECT_EQ(locked->runs().front().object, nullptr);
  EXPECT_FALSE(includes(guest.mmu.extract(page(0))->rights, Protection::Write)) << "text stays text";
  EXPECT_EQ(space.statistics().object_copied, 1U);

  // 2. T runs the same text: the file's page.
  EXPECT_OK(tracee.cpu.execute(page(0)));
  EXPECT_TRUE(is_pattern(tracee.page_at(0), 100));

  // 3, 4. A debugger writes a breakpoint into T: T's page is copied, W's translation is left alone.
  poke(tracee, 0, 7);
  ASSERT_TRUE(guest.mmu.extract(page(0)));
  EXPECT_EQ(guest.mmu.extract(page(0))->frame, mine);

  // 5. T sees the breakpoint, W and the file do not.
  EXPECT_TRUE(is_pattern(tracee.page_at(0), 7));
  EXPECT_TRUE(is_pattern(guest.page_at(0), 100));
  EXPECT_TRUE(is_pattern(pager->store().page(0), 100));

  // 6. The debugger writes into W as well: into the very page that is locked.
  const std::uint64_t promotions = guest.mmu.promotions();
  poke(guest, 0, 8);
  EXPECT_EQ(guest.mmu.promotions() + guest.mmu.host_copies(), promotions) << "there was nothing to copy";
  EXPECT_TRUE(uses_pinned_frames(guest, *locked));
  EXPECT_TRUE(is_pattern(dma(*locked, 0), 8));

  // 7. W unlocks: nothing is held, nothing has been lost.
  EXPECT_EQ(space.entry_at(page(0))->wired, kPage);
  locked = uvm::Error();
  EXPECT_EQ(space.entry_at(page(0))->wired, 0U);
  expect_nothing_pinned();
  EXPECT_TRUE(is_pattern(guest.page_at(0), 8));
}

// What the commit left open: W's mapping is shared, so there is no copy that wiring could have made for it.
// The page stays the file's for W, and only T leaves it.
TEST_F(Wiremax20011231, WithASharedMapping) {
  // 1. W locks the file's page itself.
  auto request = over(pages(8, 4), file, uvm::Sharing::Shared);
  request.protection = request.max_protection = Protection::ReadExecute;
  EXPECT_OK(space.map(request));
  auto locked = pin(pages(8, 1), uvm::PinAccess::Read);
  ASSERT_TRUE(is_ok(locked));
  const uvm::Frame page_of_file = locked->frame_at(page(8));
  EXPECT_TRUE(is_file_page(page_of_file));
  EXPECT_EQ(space.statistics().object_copied, 0U);

  // 2. T runs the same page. 3, 4. A debugger writes into T, which gets a copy; W keeps its translation.
  EXPECT_OK(guest.cpu.execute(page(8)));
  EXPECT_OK(tracee.cpu.execute(page(0)));
  poke(tracee, 0, 7);
  ASSERT_TRUE(guest.mmu.extract(page(8)));
  EXPECT_EQ(guest.mmu.extract(page(8))->frame, page_of_file);

  // 5. T sees the breakpoint, W and the file do not. 6. W touches the page: no fault, nothing counted twice.
  EXPECT_TRUE(is_pattern(tracee.page_at(0), 7));
  const std::uint64_t faults = space.statistics().faults;
  EXPECT_TRUE(is_pattern(guest.page_at(8), 100));
  EXPECT_EQ(space.statistics().faults, faults);
  EXPECT_EQ(space.pin_count(page(8)), 1U);

  // 7. W unlocks: the file's page is held by nobody.
  locked = uvm::Error();
  expect_nothing_pinned();
  EXPECT_EQ(file->holds(), 0U);
  EXPECT_TRUE(is_pattern(guest.page_at(8), 100));
}

TEST_F(Wiremax20011231, UnlockingFindsNoTranslationAndDoesNotMind) {
  auto locked = pin(pages(0, 1), uvm::PinAccess::Read);
  ASSERT_TRUE(is_ok(locked));
  space.drop_translations();  // for whatever reason: this is what the panic was about
  locked = uvm::Error();
  expect_nothing_pinned();
  EXPECT_FALSE(guest.mmu.extract(page(0))) << "unpinning asked for it";
}

TEST_F(Wiremax20011231, TheKindDecidesWhetherThePageStays) {
  const uvm::Frame wired = wire(FaultKind::WireMax);
  EXPECT_FALSE(is_file_page(wired));
  poke(tracee, 0, 7);
  EXPECT_EQ(guest.mmu.extract(page(0))->frame, wired);
  poke(guest, 0, 8);
  EXPECT_TRUE(is_pattern(guest.page_at(0), 8));
  EXPECT_EQ(guest.mmu.extract(page(0))->frame, wired);
}

TEST_F(Wiremax20011231, ExpectedFailureOfPlainWire) {
  const uvm::Frame wired = wire(FaultKind::Wire);
  EXPECT_TRUE(is_file_page(wired)) << "prepared for today's rights: nothing is copied";
  EXPECT_EQ(space.statistics().object_copied, 0U);
  poke(tracee, 0, 7);
  EXPECT_EQ(guest.mmu.extract(page(0))->frame, wired) << "the other one's write is kept from us all the same";
  poke(guest, 0, 8);
  EXPECT_TRUE(is_pattern(guest.page_at(0), 8));
  EXPECT_NE(guest.mmu.extract(page(0))->frame, wired)
      << "copied too late: whoever wired it holds an old page";
  EXPECT_TRUE(is_pattern(bytes_of(wired), 100));
}

}  // namespace wiremax_2001_12_31_test
}  // namespace test
