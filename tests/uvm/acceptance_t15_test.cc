// T15: reading somebody's memory changes nothing about it. There is no extraction into a second map here:
// whoever reads uses Access.
#include <gtest/gtest.h>

#include "tests/uvm/pin_fixture.h"

namespace test {
namespace acceptance_t15_test {

using AcceptanceT15 = PinFixture;

TEST_F(AcceptanceT15, ReadingCutsNothingAndCopiesNothing) {
  EXPECT_OK(space.map(text(pages(0, 16), object(16))));
  EXPECT_OK(space.map(ram(pages(16, 16))));
  for (std::uint64_t i = 16; i < 20; ++i) guest.write_pattern(i, i);
  Guest child(arena, "child", guest);
  const auto before = space.entries();
  ASSERT_TRUE(space.entry_at(page(16))->needs_copy);
  const auto version = space.version();
  const auto statistics = space.statistics();
  std::vector<std::byte> bytes(3 * kPage);
  EXPECT_OK(uvm::Access::read(space, page(15), bytes));
  EXPECT_OK(uvm::Access::read(*child.space, page(15) + 1, bytes));
  EXPECT_EQ(space.version(), version);
  EXPECT_EQ(space.statistics().amap_copies, statistics.amap_copies);
  const auto after = space.entries();
  ASSERT_EQ(after.size(), before.size());
  for (std::size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i].range, before[i].range);
    EXPECT_EQ(after[i].needs_copy, before[i].needs_copy);
    EXPECT_EQ(after[i].anons, before[i].anons);
  }
}

TEST_F(AcceptanceT15, PinningCutsNothing) {
  EXPECT_OK(space.map(ram(pages(0, 64))));
  const auto held = pin(pages(3, 5));
  ASSERT_TRUE(is_ok(held));
  std::vector<std::byte> bytes(16 * kPage);
  EXPECT_OK(uvm::Access::read(space, page(0), bytes));
  ASSERT_EQ(space.entries().size(), 1U);
  EXPECT_EQ(space.entries().front().wired, 5 * kPage);
  EXPECT_EQ(guest.mmu.ranges(), 1U) << "nor the translations";
}

}  // namespace acceptance_t15_test
}  // namespace test
