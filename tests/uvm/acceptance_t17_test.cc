// T17: a fork of pinned private memory. The parent keeps its pages, its translations and the right to write;
// the child has pages of its own.
#include <gtest/gtest.h>

#include "tests/uvm/pin_fixture.h"

namespace test {
namespace acceptance_t17_test {

using uvm::ErrorKind;
using uvm::ForkPolicy;
using uvm::Inherit;
using uvm::PinAccess;
using uvm::Protection;

class AcceptanceT17 : public PinFixture {
 protected:
  /// Pages [0, 8): zeros; [8, 16): a file.
  void map_both() {
    EXPECT_OK(space.map(ram(pages(0, 8))));
    EXPECT_OK(space.map(over(pages(8, 8), object(8))));
    for (const std::uint64_t i : {1U, 2U, 3U, 9U, 10U, 11U}) guest.write_pattern(i, i);
  }
  void map_shared() {
    auto request = ram(pages(0, 4));
    request.inherit = Inherit::Share;
    EXPECT_OK(space.map(request));
  }
};

TEST_F(AcceptanceT17, TheParentIsLeftAsItWas) {
  map_both();
  const auto held = pin(pages(2, 8));
  ASSERT_TRUE(is_ok(held));
  ASSERT_TRUE(uses_pinned_frames(guest, *held));
  const std::uint64_t enters = guest.mmu.enters();
  Guest child(arena, "child", guest);
  EXPECT_EQ(child.mmu.promotions(), 8U) << "copies of what is pinned, and of nothing else";
  EXPECT_EQ(arena.live(), 3U) << "the other private pages are moved and shared";
  for (std::uint64_t i = 2; i < 10; ++i) {
    const auto found = guest.mmu.extract(page(i));
    ASSERT_TRUE(found) << "page " << i;
    EXPECT_EQ(found->frame, held->frame_at(page(i)));
    EXPECT_TRUE(includes(found->rights, Protection::Write));
    guest.write_pattern(i, 50 + i);
  }
  EXPECT_EQ(guest.mmu.enters(), enters) << "no write needed a fault";
  EXPECT_TRUE(is_pattern(child.page_at(2), 2));
  EXPECT_TRUE(is_zero(child.page_at(4)));
  EXPECT_TRUE(is_pattern(child.page_at(8), 100));
  EXPECT_TRUE(is_pattern(child.page_at(9), 9));
  for (std::uint64_t i = 0; i < 16; ++i) child.write_pattern(i, 80 + i);
  EXPECT_TRUE(is_pattern(guest.page_at(1), 1)) << "what is not pinned is shared until written, as ever";
  EXPECT_TRUE(is_pattern(guest.page_at(11), 11));
  for (std::uint64_t i = 2; i < 10; ++i) EXPECT_TRUE(is_pattern(dma(*held, i), 50 + i));
  EXPECT_TRUE(uses_pinned_frames(guest, *held));
}

TEST_F(AcceptanceT17, GenerationsOfForksUnderOnePin) {
  map_both();
  const auto held = pin(pages(2, 8));
  ASSERT_TRUE(is_ok(held));
  Guest child(arena, "child", guest);
  fill_pattern(dma(*held, 3), 60);
  Guest second(arena, "second", guest);
  Guest grandchild(arena, "grandchild", child);
  EXPECT_EQ(child.space->pin_statistics().pins, 0U) << "a child has nothing pinned";
  grandchild.write_pattern(3, 70);
  EXPECT_TRUE(is_pattern(child.page_at(3), 3));
  EXPECT_TRUE(is_pattern(second.page_at(3), 60));
  EXPECT_TRUE(is_pattern(grandchild.page_at(3), 70));
  EXPECT_TRUE(uses_pinned_frames(guest, *held));
  EXPECT_OK(child.space->unmap(pages(0, 16)));
}

TEST_F(AcceptanceT17, AnsweringPolicies) {
  map_both();
  for (const ForkPolicy policy : {ForkPolicy::Quiesce, ForkPolicy::Refuse}) {
    const auto held = pin(pages(2, 8), PinAccess::Read, policy);
    ASSERT_TRUE(is_ok(held));
    const auto version = space.entries().size();
    SimMmu mmu(Guest::kBytes, &arena);
    const auto child = space.fork("child", mmu);
    ASSERT_TRUE(fails_with(child, ErrorKind::Pinned));
    EXPECT_NE(child.error().text().find("range 0x2000+0x8000 is pinned by vfio0"), std::string::npos)
        << child.error().text();
    EXPECT_EQ(space.entries().size(), version);
    EXPECT_TRUE(uses_pinned_frames(guest, *held));
  }
  EXPECT_OK(space.inherit(pages(0, 8), Inherit::None));
  EXPECT_OK(space.inherit(pages(8, 8), Inherit::Zero));
  const auto held = pin(pages(2, 8), PinAccess::Read, ForkPolicy::Refuse);
  ASSERT_TRUE(is_ok(held));
  Guest child(arena, "child", guest);
  EXPECT_TRUE(is_zero(child.page_at(9))) << "the child gets nothing of what is pinned";
  EXPECT_TRUE(uses_pinned_frames(guest, *held));
}

TEST_F(AcceptanceT17, PagesInPlaceCannotBeginToBeShared) {
  map_shared();
  {
    const auto held = pin(pages(1, 2));
    ASSERT_TRUE(is_ok(held));
    SimMmu mmu(Guest::kBytes, &arena);
    EXPECT_ERROR(space.fork("child", mmu), ErrorKind::Pinned);
    EXPECT_TRUE(uses_pinned_frames(guest, *held));
  }
  Guest child(arena, "child", guest);
  const auto held = pin(pages(1, 2));  // shared already: these frames can be shared on
  ASSERT_TRUE(is_ok(held));
  Guest second(arena, "second", guest);
  second.write_pattern(1, 5);
  EXPECT_TRUE(is_pattern(dma(*held, 1), 5));
  EXPECT_TRUE(uses_pinned_frames(guest, *held));
  EXPECT_TRUE(uses_pinned_frames(child, *held));
}

TEST_F(AcceptanceT17, AForkOfASharerCopiesWhatAnotherOneHasPinned) {
  map_shared();
  for (std::uint64_t i = 0; i < 4; ++i) guest.write_pattern(i, i);
  Guest sharer(arena, "sharer", guest);
  const auto held = pin(pages(1, 2));
  ASSERT_TRUE(is_ok(held));
  ASSERT_TRUE(uses_pinned_frames(guest, *held));
  EXPECT_OK(sharer.space->inherit(pages(0, 4), Inherit::Copy));
  Guest snapshot(arena, "snapshot", sharer);
  EXPECT_TRUE(includes(guest.mmu.extract(page(1))->rights, Protection::Write)) << "not taken away";
  for (std::uint64_t i = 0; i < 4; ++i) guest.write_pattern(i, 40 + i);
  for (std::uint64_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(is_pattern(sharer.page_at(i), 40 + i));
    EXPECT_TRUE(is_pattern(snapshot.page_at(i), i));
  }
  EXPECT_TRUE(uses_pinned_frames(guest, *held));
  EXPECT_TRUE(uses_pinned_frames(sharer, *held));
  for (std::uint64_t i = 0; i < 4; ++i) snapshot.write_pattern(i, 60 + i);
  EXPECT_TRUE(is_pattern(dma(*held, 2), 42));
}

TEST_F(AcceptanceT17, AForkThatRunsOutOfMemoryChangesNothing) {
  map_both();
  const auto held = pin(pages(2, 8));
  ASSERT_TRUE(is_ok(held));
  for (std::uint64_t n = 1; n <= 8; ++n) {
    SimMmu mmu(Guest::kBytes, &arena);
    mmu.fail_promote_from(n);
    EXPECT_ERROR(space.fork("child", mmu), ErrorKind::NoMemory);
    EXPECT_TRUE(uses_pinned_frames(guest, *held));
  }
  EXPECT_TRUE(is_pattern(guest.page_at(9), 9));
  EXPECT_TRUE(is_pattern(guest.page_at(11), 11));
}

}  // namespace acceptance_t17_test
}  // namespace test
