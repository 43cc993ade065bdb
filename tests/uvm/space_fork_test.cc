#include "uvm/space_fork.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/uvm/fixture.h"

namespace test {
namespace space_fork_test {

using uvm::ErrorKind;
using uvm::Inherit;
using uvm::Protection;
using uvm::Sharing;

using SpaceForkTest = SpaceFixture;

uvm::MapRequest inherited(uvm::MapRequest request, Inherit inherit) {
  request.inherit = inherit;
  return request;
}

TEST_F(SpaceForkTest, EveryInheritanceDoesWhatItSays) {
  EXPECT_OK(space.map(inherited(ram(pages(0, 4), "none"), Inherit::None)));
  EXPECT_OK(space.map(inherited(ram(pages(4, 4), "share"), Inherit::Share)));
  EXPECT_OK(space.map(inherited(ram(pages(8, 4), "copy"), Inherit::Copy)));
  EXPECT_OK(space.map(inherited(ram(pages(12, 4), "zero"), Inherit::Zero)));
  for (const std::uint64_t at : {0U, 4U, 8U, 12U}) guest.write_pattern(at, at + 1);
  Guest child(arena, "child", guest);
  EXPECT_ERROR(child.cpu.load(page(0)), ErrorKind::NoMapping);
  EXPECT_TRUE(is_pattern(child.page_at(4), 5));
  EXPECT_TRUE(is_pattern(child.page_at(8), 9));
  EXPECT_TRUE(is_zero(child.page_at(12)));
  child.write_pattern(4, 50);
  child.write_pattern(8, 90);
  child.write_pattern(12, 130);
  EXPECT_TRUE(is_pattern(guest.page_at(4), 50)) << "shared";
  EXPECT_TRUE(is_pattern(guest.page_at(8), 9)) << "copied";
  EXPECT_TRUE(is_pattern(guest.page_at(12), 13)) << "the parent keeps its bytes";
  guest.write_pattern(8, 91);
  EXPECT_TRUE(is_pattern(child.page_at(8), 90));
}

TEST_F(SpaceForkTest, UntouchedSharedPagesAreSharedToo) {
  EXPECT_OK(space.map(inherited(ram(pages(0, 4)), Inherit::Share)));
  EXPECT_OK(space.map(inherited(over(pages(4, 4), object(4)), Inherit::Share)));
  Guest child(arena, "child", guest);
  EXPECT_TRUE(is_zero(child.page_at(1)));
  EXPECT_TRUE(is_pattern(child.page_at(5), 101));
  EXPECT_TRUE(is_pattern(guest.page_at(5), 101));
  guest.write_pattern(1, 1);
  child.write_pattern(5, 5);
  EXPECT_TRUE(is_pattern(child.page_at(1), 1));
  EXPECT_TRUE(is_pattern(guest.page_at(5), 5)) << "the object's page is gone from the other's translations";
  EXPECT_TRUE(is_pattern(pager->store().page(1), 101));
}

TEST_F(SpaceForkTest, ACopyCopiesNoPageUntilOneIsWritten) {
  EXPECT_OK(space.map(over(pages(0, 64), object(64))));
  for (std::uint64_t i = 0; i < 8; ++i) guest.write_pattern(i, i);
  Guest child(arena, "child", guest);
  EXPECT_EQ(arena.live(), 8U) << "moved to where both can use them, once";
  for (std::uint64_t i = 0; i < 8; ++i) {
    EXPECT_TRUE(is_pattern(child.page_at(i), i));
    EXPECT_TRUE(is_pattern(guest.page_at(i), i));
  }
  EXPECT_EQ(arena.live(), 8U);
  EXPECT_TRUE(space.entry_at(page(0))->needs_copy);
  child.write_pattern(3, 33);
  EXPECT_EQ(child.space->statistics().amap_copies, 1U);
  EXPECT_EQ(child.space->statistics().anon_copied, 1U);
  EXPECT_FALSE(child.space->entry_at(page(0))->needs_copy);
  EXPECT_TRUE(is_pattern(guest.page_at(3), 3));
  guest.write_pattern(3, 34);
  EXPECT_TRUE(is_pattern(child.page_at(3), 33));
  EXPECT_TRUE(is_pattern(guest.page_at(4), 4));
}

TEST_F(SpaceForkTest, GenerationsStayApart) {
  EXPECT_OK(space.map(ram(pages(0, 4))));
  guest.write_pattern(0, 1);
  Guest child(arena, "child", guest);
  child.write_pattern(0, 2);
  {
    Guest grandchild(arena, "grandchild", child);
    grandchild.write_pattern(0, 3);
    EXPECT_TRUE(is_pattern(child.page_at(0), 2));
    EXPECT_TRUE(is_pattern(grandchild.page_at(0), 3));
    EXPECT_TRUE(is_zero(grandchild.page_at(1)));
  }
  Guest second(arena, "second", guest);
  EXPECT_TRUE(is_pattern(second.page_at(0), 1));
  EXPECT_TRUE(is_pattern(child.page_at(0), 2));
}

TEST_F(SpaceForkTest, TheParentCanEndFirst) {
  auto parent = std::make_unique<Guest>(arena, "parent");
  EXPECT_OK(parent->space->map(inherited(ram(pages(0, 4)), Inherit::Share)));
  EXPECT_OK(parent->space->map(ram(pages(4, 4))));
  parent->write_pattern(0, 1);
  parent->write_pattern(4, 2);
  Guest child(arena, "child", *parent);
  parent = nullptr;
  EXPECT_TRUE(is_pattern(child.page_at(0), 1));
  child.write_pattern(4, 3);
  EXPECT_TRUE(is_pattern(child.page_at(4), 3));
}

TEST_F(SpaceForkTest, PartialUnmapsFreeWhatNobodyShows) {
  EXPECT_OK(space.map(inherited(ram(pages(0, 8)), Inherit::Share)));
  for (std::uint64_t i = 0; i < 8; ++i) guest.write_pattern(i, i);
  Guest child(arena, "child", guest);
  EXPECT_EQ(arena.live(), 8U);
  EXPECT_OK(space.unmap(pages(2, 4)));
  EXPECT_EQ(arena.live(), 8U) << "the child still shows them";
  EXPECT_OK(child.space->unmap(pages(0, 4)));
  EXPECT_EQ(arena.live(), 6U);
  EXPECT_TRUE(is_pattern(guest.page_at(0), 0));
  EXPECT_TRUE(is_pattern(child.page_at(5), 5));
}

TEST_F(SpaceForkTest, RefusesToCopyWhatWouldLeak) {
  EXPECT_OK(space.map(over(pages(0, 4), object(4), Sharing::Shared)));
  SimMmu mmu(Guest::kBytes, &arena);
  EXPECT_ERROR(space.fork("child", mmu), ErrorKind::Unsupported);
  EXPECT_OK(space.inherit(pages(0, 4), Inherit::Share));
  EXPECT_OK(space.fork("child", mmu));
}

TEST_F(SpaceForkTest, RefusesWhileSomebodyHoldsBytes) {
  EXPECT_OK(space.map(ram(pages(0, 4))));
  const auto opened = uvm::Access::open(space, pages(0, 1), uvm::AccessKind::Write);
  ASSERT_TRUE(opened);
  SimMmu mmu(Guest::kBytes, &arena);
  EXPECT_ERROR(space.fork("child", mmu), ErrorKind::Busy);
}

TEST_F(SpaceForkTest, RunningOutOfMemoryInTheMiddleChangesNothing) {
  EXPECT_OK(space.map(ram(pages(0, 8))));
  for (std::uint64_t i = 0; i < 8; ++i) guest.write_pattern(i, i);
  guest.mmu.fail_promote_from(4);
  SimMmu mmu(Guest::kBytes, &arena);
  EXPECT_ERROR(space.fork("child", mmu), ErrorKind::NoMemory);
  guest.mmu.fail_promote_from(0);
  for (std::uint64_t i = 0; i < 8; ++i) EXPECT_TRUE(is_pattern(guest.page_at(i), i));
  Guest child(arena, "child", guest);
  for (std::uint64_t i = 0; i < 8; ++i) EXPECT_TRUE(is_pattern(child.page_at(i), i));
}

// T11: A and B share; C is copied from A. What A or B write later is invisible in C, and A and B still share.
TEST_F(SpaceForkTest, AcceptanceT11) {
  EXPECT_OK(space.map(inherited(ram(pages(0, 4)), Inherit::Share)));
  guest.write_pattern(0, 1);
  Guest b(arena, "b", guest);
  b.write_pattern(1, 2);
  EXPECT_TRUE(is_pattern(b.page_at(0), 1));
  EXPECT_OK(space.inherit(pages(0, 4), Inherit::Copy));
  Guest c(arena, "c", guest);
  EXPECT_FALSE(space.entry_at(page(0))->needs_copy) << "a member of a share group never leaves it by a write";
  b.write_pattern(0, 3);
  guest.write_pattern(1, 4);
  EXPECT_TRUE(is_pattern(c.page_at(0), 1));
  EXPECT_TRUE(is_pattern(c.page_at(1), 2));
  EXPECT_TRUE(is_pattern(guest.page_at(0), 3));
  EXPECT_TRUE(is_pattern(b.page_at(1), 4));
  c.write_pattern(2, 5);
  EXPECT_TRUE(is_zero(b.page_at(2)));
}

// T18: a second copy of a shared mapping is as good as the first.
TEST_F(SpaceForkTest, AcceptanceT18) {
  auto request = inherited(ram(pages(0, 4)), Inherit::Copy);
  request.sharing = Sharing::Shared;
  EXPECT_OK(space.map(request));
  guest.write_pattern(0, 1);
  Guest first(arena, "first", guest);
  guest.write_pattern(0, 2);
  Guest second(arena, "second", guest);
  guest.write_pattern(0, 3);
  EXPECT_TRUE(is_pattern(first.page_at(0), 1));
  EXPECT_TRUE(is_pattern(second.page_at(0), 2));
}

// While the sharers are being flushed nobody may enter the old page again: it would stay for ever.
TEST_F(SpaceForkTest, AFaultDuringAFlushWaitsForTheNewPage) {
  EXPECT_OK(space.map(inherited(over(pages(0, 1), object(1)), Inherit::Share)));
  Guest peer(arena, "peer", guest);
  EXPECT_TRUE(is_pattern(peer.page_at(0), 100));
  std::thread reader;
  guest.mmu.before_update([&] {
    if (reader.joinable()) return;
    const std::uint64_t faults = peer.space->statistics().faults;
    reader = std::thread([&] { EXPECT_OK(peer.space->fault(page(0), uvm::AccessKind::Read)); });
    while (peer.space->statistics().faults == faults) std::this_thread::yield();
    std::this_thread::sleep_for(
        std::chrono::milliseconds(20));  // so that a fault that does not wait is through
  });
  guest.write_pattern(0, 1);
  guest.mmu.before_update(nullptr);
  ASSERT_TRUE(reader.joinable()) << "the sharers were not flushed";
  reader.join();
  EXPECT_TRUE(is_pattern(peer.page_at(0), 1));
}

TEST_F(SpaceForkTest, AnonsAreFreedAfterTheFlush) {
  EXPECT_OK(space.map(inherited(ram(pages(0, 2)), Inherit::Share)));
  guest.write_pattern(0, 1);
  { const Guest child(arena, "child", guest); }
  EXPECT_TRUE(is_pattern(guest.page_at(0), 1));
  EXPECT_OK(space.unmap(pages(0, 1)));
  EXPECT_EQ(arena.live(), 0U);
}

// T12 among sharers: a page that has to be copied again and again (each round forks a copy off) is written in
// one space and read in both.
TEST_F(SpaceForkTest, SharersNeverSeeOldBytesAfterNewOnes) {
  EXPECT_OK(space.map(inherited(ram(pages(0, 1)), Inherit::Share)));
  Guest peer(arena, "peer", guest);
  std::atomic<std::uint64_t> stored{0};
  std::atomic<bool> done{false};
  std::atomic<int> old_after_new{0};
  std::vector<std::thread> readers;
  for (Guest* reader : {&guest, &peer, &peer}) {
    readers.emplace_back([&, reader] {
      SimCpu cpu(*reader->space, reader->mmu);
      while (!done) {
        const std::uint64_t known = stored.load(std::memory_order_acquire);
        const auto seen = cpu.load(page(0));
        if (!seen || *seen < known) ++old_after_new;
      }
    });
  }
  std::uint64_t value = 0;
  for (int round = 0; round < 40 && !HasFailure(); ++round) {
    EXPECT_OK(space.inherit(pages(0, 1), Inherit::Copy));
    Guest copy(arena, "copy", guest);
    const auto at_fork = copy.cpu.load(page(0));
    for (int i = 0; i < 10; ++i) {
      EXPECT_OK(guest.cpu.store(page(0), ++value));
      stored.store(value, std::memory_order_release);
    }
    EXPECT_EQ(*copy.cpu.load(page(0)), *at_fork);
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(old_after_new, 0);
}

}  // namespace space_fork_test
}  // namespace test
