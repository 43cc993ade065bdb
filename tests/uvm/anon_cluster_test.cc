#include <gtest/gtest.h>

#include "tests/uvm/fixture.h"

namespace test {
namespace anon_cluster_test {

using uvm::AccessKind;
using uvm::Inherit;

/// Two anons with consecutive frames in consecutive slots, the first one this group's alone, the second one
/// held by a child too: the frames of a small arena are used up until the one before comes round again.
TEST(AnonClusterTest, EndsWhereOthersHoldThePage) {
  SimArena arena(3);
  Guest guest(arena);
  EXPECT_OK(guest.space->map(ram(pages(0, 16))));
  EXPECT_OK(guest.space->inherit(pages(0, 16), Inherit::Share));
  Guest sharer(arena, "sharer", guest);
  guest.write_pattern(9, 9);
  guest.write_pattern(4, 4);
  EXPECT_OK(guest.space->inherit(pages(0, 16), Inherit::Copy));
  Guest child(arena, "child", guest);
  for (Guest* each : {&guest, &sharer, &child}) EXPECT_OK(each->space->unmap(pages(9, 1)));
  guest.write_pattern(12, 12);
  guest.write_pattern(3, 3);
  guest.space->drop_translations();

  EXPECT_OK(guest.space->fault(page(3), AccessKind::Write));
  const auto alone = guest.mmu.extract(page(3));
  ASSERT_TRUE(alone);
  EXPECT_EQ(*alone->frame + 1, arena.frame(1)) << "else this proves nothing";
  const auto held = guest.mmu.extract(page(4));
  EXPECT_TRUE(!held || !includes(held->rights, uvm::Protection::Write));
  EXPECT_OK(guest.space->fault(page(4), AccessKind::Read));
  EXPECT_EQ(guest.mmu.extract(page(4))->frame, arena.frame(1));
  EXPECT_FALSE(includes(guest.mmu.extract(page(4))->rights, uvm::Protection::Write));
  EXPECT_TRUE(is_pattern(child.page_at(4), 4));
}

}  // namespace anon_cluster_test
}  // namespace test
