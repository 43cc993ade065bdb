// The debugger's door: bytes read without a trace, and written where the guest may not write.
#include <gtest/gtest.h>

#include "tests/uvm/pin_fixture.h"

namespace test {
namespace debugger_door_test {

using uvm::Access;
using uvm::AccessKind;
using uvm::ErrorKind;
using uvm::kDebugger;
using uvm::kDebuggerShared;
using uvm::Protection;
using uvm::Reshared;

constexpr std::byte kBreak{0xcc};

class DebuggerDoor : public PinFixture {
 protected:
  uvm::Status plant(uvm::Gpa at, std::byte value = kBreak) {
    return Access::write(space, at, std::span(&value, 1), kDebugger);
  }
  std::byte peek(uvm::Gpa at) {
    std::byte value{};
    EXPECT_OK(Access::read(space, at, std::span(&value, 1), kDebugger));
    return value;
  }
  std::size_t private_pages() const { return guest.mmu.private_pages(); }
};

TEST_F(DebuggerDoor, WritesTextAndTheGuestSeesItAndMayStillNotWrite) {
  EXPECT_OK(space.map(text(pages(0, 4), object(4))));
  pager->store().set_writable(false);
  SimCpu other(space, guest.mmu);
  std::vector<std::byte> seen(kPage);
  EXPECT_OK(other.read(page(1), seen));  // a translation to the object's page
  EXPECT_TRUE(is_pattern(seen, 101));
  EXPECT_OK(plant(page(1) + 7));
  EXPECT_OK(other.read(page(1), seen));
  EXPECT_EQ(seen[7], kBreak) << "a stale translation";
  EXPECT_EQ(guest.byte_at(page(1) + 7), kBreak);
  EXPECT_EQ(guest.byte_at(page(1) + 8), pattern(kPage, 101)[8]);
  EXPECT_TRUE(is_pattern(pager->store().page(1), 101)) << "the object was written";
  EXPECT_EQ(private_pages(), 1U);
  EXPECT_OK(guest.cpu.execute(page(1)));
  EXPECT_ERROR(guest.cpu.store(page(1), 1), ErrorKind::Protection);
  EXPECT_EQ(space.entries().size(), 1U) << "nothing was cut";
  EXPECT_EQ(space.statistics().pokes, 1U);
}

TEST_F(DebuggerDoor, WritesWhatTheGuestMayNotEvenRead) {
  auto hidden = ram(pages(0, 2), "hidden");
  hidden.protection = Protection::None;
  EXPECT_OK(space.map(hidden));
  EXPECT_EQ(peek(page(1)), std::byte{0});
  EXPECT_EQ(private_pages(), 0U) << "reading made a page";
  EXPECT_OK(plant(page(1)));
  EXPECT_EQ(peek(page(1)), kBreak);
  EXPECT_ERROR(guest.cpu.load(page(1)), ErrorKind::Protection);
  EXPECT_OK(space.protect(pages(0, 2), Protection::Read));
  EXPECT_EQ(guest.byte_at(page(1)), kBreak);
}

TEST_F(DebuggerDoor, StopsAtTheMaximum) {
  auto rom = text(pages(0, 2), object(2));
  rom.max_protection = Protection::ReadExecute;
  EXPECT_OK(space.map(rom));
  EXPECT_ERROR(plant(page(0)), ErrorKind::Protection);
  EXPECT_EQ(peek(page(0)), pattern(kPage, 100)[0]);
  auto nothing = ram(pages(2, 1));
  nothing.protection = nothing.max_protection = Protection::None;
  EXPECT_OK(space.map(nothing));
  std::byte value{};
  EXPECT_ERROR(Access::read(space, page(2), std::span(&value, 1), kDebugger), ErrorKind::Protection);
}

TEST_F(DebuggerDoor, SharedMappingsAreWrittenOnPurposeOnly) {
  auto device = over(pages(0, 2), object(2), uvm::Sharing::Shared);
  device.protection = Protection::Read;
  EXPECT_OK(space.map(device));
  const auto refused = plant(page(0));
  EXPECT_ERROR(refused, ErrorKind::Protection);
  EXPECT_NE(refused.error().text().find("shared mapping of file"), std::string::npos);
  EXPECT_NE(refused.error().text().find("write to it on purpose with"), std::string::npos);
  EXPECT_TRUE(is_pattern(pager->store().page(0), 100));
  EXPECT_OK(Access::write(space, page(0), std::span(&kBreak, 1), kDebuggerShared));
  EXPECT_EQ(pager->store().page(0)[0], kBreak);
  EXPECT_EQ(private_pages(), 0U);
}

TEST_F(DebuggerDoor, SaysHowFarItCame) {
  EXPECT_OK(space.map(ram(pages(0, 2))));
  guest.write_pattern(1, 5);
  std::vector<std::byte> bytes(3 * kPage);
  const auto read = Access::read_some(space, page(0) + 10, bytes, kDebugger);
  EXPECT_EQ(read.bytes, 2 * kPage - 10);
  EXPECT_ERROR(read.status, ErrorKind::NoMapping);
  EXPECT_TRUE(is_pattern(std::span(bytes).subspan(kPage - 10, kPage), 5));
  const auto written = Access::write_some(space, page(1) + 1, bytes, kDebugger);
  EXPECT_EQ(written.bytes, kPage - 1);
  EXPECT_ERROR(written.status, ErrorKind::NoMapping);
  const auto none = Access::read_some(space, page(5), bytes, kDebugger);
  EXPECT_EQ(none.bytes, 0U);
  const auto wrapped = Access::read_some(space, uvm::Gpa(~std::uint64_t{0}), bytes, kDebugger);
  EXPECT_ERROR(wrapped.status, ErrorKind::Invalid);
  const auto edge = Access::write_some(space, space.limits().end() - 1, bytes, kDebugger);
  EXPECT_ERROR(edge.status, ErrorKind::NoMapping);
}

TEST_F(DebuggerDoor, ReadingChangesNothing) {
  EXPECT_OK(space.map(ram(pages(0, 8))));
  guest.write_pattern(2, 1);
  Guest child(arena, "child", guest);
  space.drop_translations();
  const auto version = space.version();
  const auto enters = guest.mmu.enters();
  const auto promotions = guest.mmu.promotions();
  std::vector<std::byte> bytes(8 * kPage);
  EXPECT_OK(Access::read(space, page(0), bytes, kDebugger));
  EXPECT_TRUE(is_pattern(std::span(bytes).subspan(2 * kPage, kPage), 1));
  EXPECT_EQ(space.version(), version);
  EXPECT_EQ(guest.mmu.enters(), enters);
  EXPECT_EQ(guest.mmu.promotions(), promotions);
  EXPECT_EQ(guest.mmu.ranges(), 0U);
  EXPECT_TRUE(space.entry_at(page(0))->needs_copy);
  EXPECT_EQ(space.statistics().peeks, 8U);
}

TEST_F(DebuggerDoor, AWriteAfterAForkStaysInOneSpace) {
  EXPECT_OK(space.map(ram(pages(0, 4))));
  guest.write_pattern(1, 1);
  Guest child(arena, "child", guest);
  EXPECT_EQ(child.byte_at(page(1)), pattern(kPage, 1)[0]);
  EXPECT_OK(plant(page(1)));
  EXPECT_OK(plant(page(2)));
  EXPECT_EQ(guest.byte_at(page(1)), kBreak);
  EXPECT_EQ(guest.byte_at(page(2)), kBreak);
  EXPECT_TRUE(is_pattern(child.page_at(1), 1));
  EXPECT_TRUE(is_zero(child.page_at(2)));
}

TEST_F(DebuggerDoor, AWriteIntoSharedMemoryIsSeenByAllSharersAndNobodyElse) {
  auto shared = ram(pages(0, 4));
  shared.inherit = uvm::Inherit::Share;
  EXPECT_OK(space.map(shared));
  guest.write_pattern(1, 1);
  Guest sharer(arena, "sharer", guest);
  EXPECT_OK(space.inherit(pages(0, 4), uvm::Inherit::Copy));
  Guest copy(arena, "copy", guest);
  EXPECT_EQ(sharer.byte_at(page(1)), pattern(kPage, 1)[0]);
  EXPECT_OK(plant(page(1)));
  EXPECT_EQ(sharer.byte_at(page(1)), kBreak);
  EXPECT_EQ(guest.byte_at(page(1)), kBreak);
  EXPECT_TRUE(is_pattern(copy.page_at(1), 1));
}

TEST_F(DebuggerDoor, APinnedPageOfOursIsWrittenInPlace) {
  EXPECT_OK(space.map(text(pages(0, 4), object(4))));
  const auto held = pin(pages(0, 4), uvm::PinAccess::Read);
  ASSERT_TRUE(is_ok(held));
  const auto frame = held->frame_at(page(2));
  const auto promotions = guest.mmu.promotions();
  EXPECT_OK(plant(page(2) + 3));
  EXPECT_EQ(guest.mmu.promotions(), promotions);
  EXPECT_EQ(held->frame_at(page(2)), frame);
  EXPECT_EQ(bytes_of(frame)[3], kBreak);
  EXPECT_TRUE(uses_pinned_frames(guest, *held));
  EXPECT_OK(plant(page(2) + 3, pattern(kPage, 102)[3]));
  EXPECT_ERROR(space.reshare(page(2)), ErrorKind::Pinned);
}

TEST_F(DebuggerDoor, APageThatIsAsBeforeIsSharedAgain) {
  EXPECT_OK(space.map(text(pages(0, 4), object(4))));
  EXPECT_EQ(space.reshare(page(1)).value(), Reshared::Kept) << "nothing private there";
  EXPECT_OK(plant(page(1) + 7));
  EXPECT_EQ(guest.byte_at(page(1) + 7), kBreak);
  EXPECT_EQ(space.reshare(page(1)).value(), Reshared::Kept) << "the byte is still in it";
  EXPECT_EQ(guest.byte_at(page(1) + 7), kBreak);
  EXPECT_OK(plant(page(1) + 7, pattern(kPage, 101)[7]));
  EXPECT_EQ(space.reshare(page(1) + 7).value(), Reshared::Dropped);
  EXPECT_EQ(private_pages(), 0U);
  EXPECT_TRUE(is_pattern(guest.page_at(1), 101));
  EXPECT_EQ(guest.mmu.extract(page(1))->frame, pager->store().frame(1));
  EXPECT_EQ(space.statistics().reshared, 1U);
  EXPECT_EQ(space.entries().size(), 1U);
}

TEST_F(DebuggerDoor, WhatTheGuestWroteIsKept) {
  EXPECT_OK(space.map(over(pages(0, 2), object(2))));
  EXPECT_OK(space.map(ram(pages(2, 2))));
  EXPECT_OK(plant(page(0)));
  EXPECT_OK(plant(page(2)));
  EXPECT_OK(guest.cpu.store(page(0) + 8, 1));
  EXPECT_OK(plant(page(0), pattern(kPage, 100)[0]));
  EXPECT_OK(plant(page(2), std::byte{0}));
  EXPECT_EQ(space.reshare(page(0)).value(), Reshared::Kept);
  EXPECT_EQ(guest.cpu.load(page(0) + 8).value(), 1U);
  EXPECT_EQ(space.reshare(page(2)).value(), Reshared::Dropped) << "zeros again";
  EXPECT_EQ(guest.byte_at(page(2)), std::byte{0});
  EXPECT_ERROR(space.reshare(page(9)), ErrorKind::NoMapping);
  const auto opened = Access::open(space, pages(0, 1), AccessKind::Read);
  ASSERT_TRUE(is_ok(opened));
  EXPECT_ERROR(space.reshare(page(0)), ErrorKind::Busy);
}

TEST_F(DebuggerDoor, AVanishedPageIsAnErrorToTheReader) {
  EXPECT_OK(space.map(text(pages(0, 4), object(4))));
  EXPECT_EQ(peek(page(3)), pattern(kPage, 103)[0]);
  EXPECT_OK(plant(page(1)));
  pager->resize(kPage);
  std::vector<std::byte> bytes(4 * kPage);
  const auto read = Access::read_some(space, page(0), bytes, kDebugger);
  EXPECT_EQ(read.bytes, 2 * kPage) << "the private page is still there";
  EXPECT_ERROR(read.status, ErrorKind::EndOfObject);
  EXPECT_ERROR(space.reshare(page(1)), ErrorKind::EndOfObject);
}

}  // namespace debugger_door_test
}  // namespace test
