// A space wired as a whole (T9, and bug B3 of NetBSD): the way there, and the way back when it fails in the
// middle.
#include "uvm/wire_all.h"

#include <gtest/gtest.h>

#include "tests/uvm/pin_fixture.h"

namespace test {
namespace wire_all_test {

using uvm::ErrorKind;
using uvm::Protection;
using uvm::WireScope;

class WireAllTest : public PinFixture {
 protected:
  void SetUp() override {
    EXPECT_OK(space.map(ram(pages(0, 4), "first")));
    EXPECT_OK(space.map(text(pages(8, 4), object(4))));
    auto hidden = ram(pages(16, 4), "hidden");
    hidden.protection = Protection::None;
    EXPECT_OK(space.map(hidden));
    EXPECT_OK(space.map(ram(pages(24, 4), "last")));
  }
  [[nodiscard]] std::uint64_t wired() const { return space.pin_statistics().bytes; }

  std::shared_ptr<uvm::PinOwner> everything = uvm::PinOwner::create("mlockall");
};

TEST_F(WireAllTest, WhatWasWiredBeforeStaysWhenTheRestCannotBe) {
  const auto before = pin(pages(8, 2), uvm::PinAccess::Read);
  ASSERT_TRUE(is_ok(before));
  pager->fail_page(3, ErrorKind::PagerIo);
  const auto failed = space.wire_all(WireScope::Current, everything);
  EXPECT_ERROR(failed, ErrorKind::PagerIo);
  EXPECT_NE(failed.error().text().find("mlockall"), std::string::npos) << failed.error().text();
  EXPECT_EQ(everything->pinned(), 0U);
  EXPECT_EQ(wired(), 2 * kPage);
  EXPECT_EQ(space.pin_count(page(8)), 1U);
  EXPECT_EQ(space.pin_count(page(0)), 0U) << "wired before the failure, and left so";
  EXPECT_TRUE(uses_pinned_frames(guest, *before));
  EXPECT_ERROR(space.unmap(pages(8, 1)), ErrorKind::Pinned);
  EXPECT_OK(space.unmap(pages(24, 4)));
  pager->clear_failures();
  EXPECT_OK(space.wire_all(WireScope::Current, everything)) << "it can be tried again";
  EXPECT_EQ(space.pin_count(page(8)), 2U);
}

TEST_F(WireAllTest, WiresWhatCanBeAccessedAndEndsAtOnce) {
  EXPECT_OK(space.wire_all(WireScope::Current, everything));
  EXPECT_EQ(wired(), 12 * kPage) << "all but the one without rights";
  EXPECT_EQ(guest.mmu.private_pages(), 12U);
  EXPECT_EQ(space.pin_count(page(16)), 0U);
  EXPECT_ERROR(space.wire_all(WireScope::Both, everything), ErrorKind::Busy);
  EXPECT_ERROR(space.unmap(pages(0, 1)), ErrorKind::Pinned);
  EXPECT_OK(space.map(ram(pages(40, 1))));
  EXPECT_EQ(space.pin_count(page(40)), 0U) << "what comes is not meant";
  space.unwire_all();
  space.unwire_all();
  EXPECT_EQ(wired(), 0U);
  EXPECT_EQ(everything->pinned(), 0U);
  EXPECT_OK(space.unmap(pages(0, 32)));
}

TEST_F(WireAllTest, WhatComesIsWiredToo) {
  EXPECT_OK(space.wire_all(WireScope::Future, everything));
  EXPECT_EQ(wired(), 0U);
  EXPECT_OK(space.map(ram(pages(40, 2))));
  EXPECT_EQ(wired(), 2 * kPage);
  EXPECT_OK(space.protect(pages(16, 2), Protection::Read));
  EXPECT_EQ(wired(), 4 * kPage) << "rights at last";
  EXPECT_OK(space.protect(pages(16, 4), Protection::ReadWrite));
  EXPECT_EQ(wired(), 6 * kPage);
  EXPECT_EQ(space.pin_count(page(16)), 1U) << "once is enough";
  EXPECT_OK(space.protect(pages(16, 4), Protection::None));
  EXPECT_EQ(wired(), 6 * kPage) << "a pin holds pages, not rights";
  space.unwire_all();
  EXPECT_OK(space.map(ram(pages(50, 2))));
  EXPECT_EQ(wired(), 0U);
}

TEST_F(WireAllTest, WhatCannotBeWiredDoesNotCome) {
  EXPECT_OK(space.wire_all(WireScope::Both, everything));
  const auto before = wired();
  space.limit_pins(before + kPage);
  const auto entries = space.entries().size();
  EXPECT_ERROR(space.map(ram(pages(40, 2))), ErrorKind::NoMemory);
  EXPECT_EQ(space.entries().size(), entries);
  EXPECT_ERROR(space.protect(pages(14, 8), Protection::Read), ErrorKind::NoMapping);
  EXPECT_ERROR(space.protect(pages(16, 4), Protection::Read), ErrorKind::NoMemory);
  EXPECT_EQ(space.entry_at(page(17))->protection, Protection::None);
  EXPECT_EQ(space.entry_at(page(17))->range, pages(16, 4));
  EXPECT_EQ(wired(), before);
  EXPECT_OK(space.map(ram(pages(40, 1))));
  EXPECT_EQ(wired(), before + kPage);
}

TEST_F(WireAllTest, AChildIsNotWiredAndASpaceEndsWired) {
  EXPECT_OK(space.wire_all(WireScope::Both, everything));
  {
    Guest child(arena, "child", guest);
    EXPECT_EQ(child.space->pin_statistics().bytes, 0U);
    EXPECT_OK(child.space->map(ram(pages(40, 1))));
    EXPECT_EQ(child.space->pin_statistics().bytes, 0U);
    EXPECT_OK(child.space->wire_all(WireScope::Both, everything));
  }
  EXPECT_EQ(everything->pinned(), wired());
}

}  // namespace wire_all_test
}  // namespace test
