// Extraction for writing: a range of one space in another (for reading see acceptance_t15_test.cc).
#include <gtest/gtest.h>

#include "tests/uvm/pin_fixture.h"

namespace test {
namespace extract_test {

using uvm::ErrorKind;
using uvm::ExtractRequest;
using uvm::Protection;

class ExtractTest : public PinFixture {
 protected:
  static ExtractRequest request(uvm::GpaRange from, std::uint64_t at) {
    ExtractRequest made;
    made.from = from;
    made.at = page(at);
    return made;
  }
  Guest viewer{arena, "viewer"};
};

TEST_F(ExtractTest, BothSeeWhatEitherWrites) {
  EXPECT_OK(space.map(ram(pages(0, 16))));
  EXPECT_OK(space.map(over(pages(16, 4), object(4))));
  pager->store().set_writable(false);
  guest.write_pattern(3, 1);  // private in place
  EXPECT_OK(space.extract(request(pages(2, 16), 102), *viewer.space));
  EXPECT_TRUE(is_pattern(viewer.page_at(103), 1));
  EXPECT_TRUE(is_zero(viewer.page_at(104)));
  EXPECT_TRUE(is_pattern(viewer.page_at(116), 100));
  viewer.write_pattern(103, 2);
  viewer.write_pattern(104, 3);
  viewer.write_pattern(117, 4);
  EXPECT_TRUE(is_pattern(guest.page_at(3), 2));
  EXPECT_TRUE(is_pattern(guest.page_at(4), 3));
  EXPECT_TRUE(is_pattern(guest.page_at(17), 4));
  guest.write_pattern(5, 5);
  EXPECT_TRUE(is_pattern(viewer.page_at(105), 5));
  EXPECT_TRUE(is_pattern(pager->store().page(1), 101));
  EXPECT_OK(viewer.space->unmap(pages(102, 16)));
  EXPECT_TRUE(is_pattern(guest.page_at(3), 2)) << "the other goes on alone";
  guest.write_pattern(3, 6);
  EXPECT_OK(space.extract(request(pages(3, 1), 3), *viewer.space));
  EXPECT_OK(space.unmap(pages(0, 20)));
  EXPECT_TRUE(is_pattern(viewer.page_at(3), 6));
}

TEST_F(ExtractTest, WhoSharedItAsACopySeesNothing) {
  EXPECT_OK(space.map(ram(pages(0, 8))));
  guest.write_pattern(1, 1);
  Guest child(arena, "child", guest);
  EXPECT_OK(space.extract(request(pages(0, 8), 0), *viewer.space));
  viewer.write_pattern(1, 2);
  viewer.write_pattern(2, 3);
  EXPECT_TRUE(is_pattern(child.page_at(1), 1));
  EXPECT_TRUE(is_zero(child.page_at(2)));
  EXPECT_TRUE(is_pattern(guest.page_at(1), 2));
  Guest second(arena, "second", guest);
  viewer.write_pattern(1, 4);
  EXPECT_TRUE(is_pattern(second.page_at(1), 2)) << "a fork of one member of the group";
  Guest of_viewer(arena, "of viewer", viewer);
  EXPECT_FALSE(of_viewer.space->entry_at(page(1))) << "no fork inherits it";
}

TEST_F(ExtractTest, RightsAreTheViewersOwn) {
  EXPECT_OK(space.map(text(pages(0, 4), object(4))));
  auto reading = request(pages(0, 4), 0);
  reading.protection = Protection::Read;
  reading.name = "view";
  EXPECT_OK(space.extract(reading, *viewer.space));
  EXPECT_TRUE(is_pattern(viewer.page_at(1), 101));
  EXPECT_ERROR(viewer.cpu.store(page(1), 1), ErrorKind::Protection);
  EXPECT_EQ(viewer.space->entry_at(page(1))->name, "view");
  EXPECT_EQ(space.entry_at(page(1))->protection, Protection::ReadExecute);
  EXPECT_OK(space.extract(request(pages(1, 2), 11), *viewer.space));
  viewer.write_pattern(11, 9);  // text of the guest, by max_protection
  EXPECT_TRUE(is_pattern(guest.page_at(1), 9));
  EXPECT_TRUE(is_pattern(viewer.page_at(1), 9)) << "the third place it is mapped at";
  EXPECT_ERROR(guest.cpu.store(page(1), 1), ErrorKind::Protection);
}

TEST_F(ExtractTest, PinnedPagesStayWhereTheyAre) {
  EXPECT_OK(space.map(ram(pages(0, 8))));
  guest.write_pattern(2, 1);
  {
    const auto held = pin(pages(2, 2));
    ASSERT_TRUE(is_ok(held));
    const auto refused = space.extract(request(pages(0, 8), 0), *viewer.space);
    EXPECT_ERROR(refused, ErrorKind::Pinned);
    EXPECT_NE(refused.error().text().find("vfio0"), std::string::npos);
    EXPECT_OK(space.extract(request(pages(4, 2), 4), *viewer.space)) << "next to it is fine";
    EXPECT_TRUE(uses_pinned_frames(guest, *held));
  }
  EXPECT_OK(space.extract(request(pages(0, 4), 0), *viewer.space));
  const auto held = pin(pages(2, 2));
  ASSERT_TRUE(is_ok(held));
  viewer.write_pattern(2, 3);
  viewer.write_pattern(3, 4);
  EXPECT_TRUE(uses_pinned_frames(guest, *held)) << "a write through the other door goes in place";
  EXPECT_TRUE(is_pattern(dma(*held, 3), 4));
  EXPECT_OK(viewer.space->unmap(pages(0, 8)));
  EXPECT_TRUE(uses_pinned_frames(guest, *held));
}

TEST_F(ExtractTest, RefusalsChangeNothing) {
  EXPECT_OK(space.map(ram(pages(0, 8))));
  auto rom = text(pages(8, 4), object(4));
  rom.max_protection = Protection::ReadExecute;
  EXPECT_OK(space.map(rom));
  EXPECT_OK(viewer.space->map(ram(pages(20, 1))));
  const auto before = space.version();
  const auto refuses = [&](const ExtractRequest& bad, ErrorKind kind) {
    EXPECT_ERROR(space.extract(bad, *viewer.space), kind);
  };
  refuses(request(pages(0, 0), 0), ErrorKind::Invalid);
  refuses(request(pages(6, 8), 0), ErrorKind::NoMapping);
  refuses(request(pages(8, 4), 0), ErrorKind::Protection);
  refuses(request(pages(0, 8), 14), ErrorKind::Busy);
  auto far = request(pages(0, 8), 0);
  far.at = uvm::Gpa(~std::uint64_t{0} - kPage + 1);
  refuses(far, ErrorKind::Invalid);
  far.at = viewer.space->limits().end() - 7 * kPage;
  refuses(far, ErrorKind::Invalid);
  far.at = page(1) + 1;
  refuses(far, ErrorKind::Invalid);
  auto none = request(pages(0, 8), 0);
  none.protection = Protection::None;
  refuses(none, ErrorKind::Invalid);
  EXPECT_ERROR(space.extract(request(pages(0, 8), 100), space), ErrorKind::Invalid);
  {
    const auto opened = uvm::Access::open(space, pages(0, 1), uvm::AccessKind::Read);
    ASSERT_TRUE(is_ok(opened));
    refuses(request(pages(0, 8), 0), ErrorKind::Busy);
  }
  EXPECT_EQ(space.version(), before);
  EXPECT_EQ(space.entries().size(), 2U);
  EXPECT_EQ(viewer.space->entries().size(), 1U);
}

/// The pages beside what is shared are of one space alone still: private where they are, pins included.
TEST_F(ExtractTest, WhatLiesBesideStaysInItsPlace) {
  EXPECT_OK(space.map(ram(pages(0, 16))));
  guest.write_pattern(5, 1);
  const auto held = pin(pages(3, 1));
  ASSERT_TRUE(is_ok(held));
  EXPECT_OK(space.extract(request(pages(8, 1), 0), *viewer.space));
  const auto again = pin(pages(2, 3));
  ASSERT_TRUE(is_ok(again));
  guest.write_pattern(3, 2);
  EXPECT_TRUE(uses_pinned_frames(guest, *held));
  EXPECT_TRUE(uses_pinned_frames(guest, *again));
  Guest child(arena, "child", guest);
  EXPECT_TRUE(is_pattern(child.page_at(3), 2));
  EXPECT_TRUE(is_pattern(child.page_at(5), 1)) << "no slot of the group names it";
}

TEST_F(ExtractTest, AFailureInTheMiddleLosesNothing) {
  EXPECT_OK(space.map(ram(pages(0, 8))));
  for (std::uint64_t i = 0; i < 8; ++i) guest.write_pattern(i, i + 1);
  guest.mmu.fail_promote_from(4);
  EXPECT_ERROR(space.extract(request(pages(0, 8), 0), *viewer.space), ErrorKind::NoMemory);
  guest.mmu.fail_promote_from(0);
  EXPECT_TRUE(viewer.space->entries().empty());
  for (std::uint64_t i = 0; i < 8; ++i) EXPECT_TRUE(is_pattern(guest.page_at(i), i + 1)) << i;
  EXPECT_OK(space.extract(request(pages(0, 8), 0), *viewer.space));
  for (std::uint64_t i = 0; i < 8; ++i) EXPECT_TRUE(is_pattern(viewer.page_at(i), i + 1)) << i;
}

}  // namespace extract_test
}  // namespace test
