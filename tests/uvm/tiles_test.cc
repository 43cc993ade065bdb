// The picture of a space: what each tile counts, and where it begins and ends.
#include "uvm/tile.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>
#include <vector>

#include "tests/uvm/pin_fixture.h"
#include "tests/uvm/reclaim_fixture.h"

namespace test {
namespace tiles_test {

using uvm::Tile;

constexpr std::uint64_t kTilePages = uvm::kTileBytes / kPage;

std::vector<Tile> tiles_of(const uvm::Space& space) {
  std::vector<Tile> all;
  space.tiles([&all](const Tile& tile) { all.push_back(tile); });
  return all;
}

class TilesTest : public PinFixture {
 protected:
  [[nodiscard]] Tile only() const {
    const auto all = tiles_of(space);
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? Tile() : all.front();
  }
};

TEST_F(TilesTest, AnEmptySpaceHasNone) {
  EXPECT_TRUE(tiles_of(space).empty());
}

TEST_F(TilesTest, UntouchedMemoryIsMappedAndNothingElse) {
  EXPECT_OK(space.map(ram(pages(0, kTilePages))));
  Tile expected;
  expected.mapped = kTilePages;
  expected.ground = only().ground;
  EXPECT_EQ(only(), expected);
}

TEST_F(TilesTest, WrittenPagesArePrivate) {
  EXPECT_OK(space.map(ram(pages(0, kTilePages))));
  guest.write_pattern(3, 1);
  guest.write_pattern(kTilePages - 1, 2);
  EXPECT_EQ(only().priv, 2U);
  EXPECT_EQ(only().object, 0U);
}

TEST_F(TilesTest, PagesOfAnObjectAreThoseWhichAreInView) {
  EXPECT_OK(space.map(over(pages(0, 16), object(16))));
  EXPECT_EQ(only().object, 16U) << "entered as a whole";
  guest.write_pattern(2, 1);
  EXPECT_EQ(only().object, 15U);
  EXPECT_EQ(only().priv, 1U);
  EXPECT_EQ(only().mapped, 16U);
  space.drop_translations();
  EXPECT_EQ(only().object, 0U) << "in nobody's view";
  EXPECT_EQ(only().priv, 1U);
}

TEST_F(TilesTest, AFirstAndALastPageCountWhereTheyLie) {
  EXPECT_OK(space.map(ram(pages(kTilePages - 1, kTilePages + 2))));
  guest.write_pattern(kTilePages - 1, 1);
  guest.write_pattern(2 * kTilePages, 2);
  const auto all = tiles_of(space);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].begin, page(0));
  EXPECT_EQ(all[0].mapped, 1U);
  EXPECT_EQ(all[0].priv, 1U);
  EXPECT_EQ(all[1].begin, page(kTilePages));
  EXPECT_EQ(all[1].mapped, kTilePages);
  EXPECT_EQ(all[1].priv, 0U);
  EXPECT_EQ(all[2].begin, page(2 * kTilePages));
  EXPECT_EQ(all[2].mapped, 1U);
  EXPECT_EQ(all[2].priv, 1U);
}

TEST_F(TilesTest, HolesAreNoTilesAndStretchesMeet) {
  // 256 MiB apart, and across the end of such a stretch.
  constexpr std::uint64_t kStretch = 128 * kTilePages;
  EXPECT_OK(space.map(ram(pages(4, 1), "low")));
  EXPECT_OK(space.map(ram(pages(kStretch - kTilePages, 2 * kTilePages), "middle")));
  EXPECT_OK(space.map(ram(pages(3 * kStretch + 5, 1), "high")));
  guest.write_pattern(kStretch - 1, 1);
  guest.write_pattern(kStretch, 2);
  const auto all = tiles_of(space);
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].mapped, 1U);
  EXPECT_EQ(all[1].begin, page(kStretch - kTilePages));
  EXPECT_EQ(all[1].priv, 1U);
  EXPECT_EQ(all[2].begin, page(kStretch));
  EXPECT_EQ(all[2].priv, 1U);
  EXPECT_EQ(all[3].begin, page(3 * kStretch));
}

TEST_F(TilesTest, SeveralMappingsOfATileAreCountedTogether) {
  EXPECT_OK(space.map(ram(pages(0, 10))));
  EXPECT_OK(space.map(over(pages(10, 4), object(4))));
  EXPECT_OK(space.map(ram(pages(20, 5), "more")));
  guest.write_pattern(22, 1);
  EXPECT_EQ(only().mapped, 19U);
  EXPECT_EQ(only().object, 4U);
  EXPECT_EQ(only().priv, 1U);
}

TEST_F(TilesTest, WhatAForkSharesIsSharedUntilItIsWritten) {
  EXPECT_OK(space.map(ram(pages(0, 8))));
  for (std::uint64_t n = 0; n < 4; ++n) guest.write_pattern(n, n + 1);
  Guest child(arena, "child", guest);
  EXPECT_EQ(only().shared, 4U);
  EXPECT_EQ(only().others, 1U);
  EXPECT_EQ(only().priv, 0U);
  child.write_pattern(0, 9);
  EXPECT_EQ(only().shared, 3U) << "the child has gone its own way";
  EXPECT_EQ(only().priv, 1U);
  const auto its = tiles_of(*child.space);
  ASSERT_EQ(its.size(), 1U);
  EXPECT_EQ(its[0].priv, 1U);
  EXPECT_EQ(its[0].shared, 3U);
  Guest another(arena, "another", guest);
  EXPECT_EQ(only().others, 2U);
}

TEST_F(TilesTest, PinnedPagesAreWiredBesideWhatTheyAre) {
  EXPECT_OK(space.map(ram(pages(0, kTilePages))));
  const auto first = pin(pages(8, 4));
  const auto again = pin(pages(10, 4));
  ASSERT_TRUE(first && again);
  EXPECT_EQ(only().wired, 6U) << "each page once";
  EXPECT_EQ(only().priv, 6U);
}

TEST_F(TilesTest, GroundsTellObjectsAndPlacesApart) {
  const auto file = object(2 * kTilePages);
  EXPECT_OK(space.map(over(pages(0, 2 * kTilePages), file)));
  EXPECT_OK(space.map(ram(pages(2 * kTilePages, 2 * kTilePages))));
  const auto all = tiles_of(space);
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].ground, all[1].ground) << "one mapping, one ground: equal tiles are a run";
  EXPECT_EQ(all[2].ground, all[3].ground);
  EXPECT_NE(all[0].ground, all[2].ground);
  Guest same(arena, "same");
  EXPECT_OK(same.space->map(over(pages(0, 2 * kTilePages), file)));
  EXPECT_EQ(tiles_of(*same.space)[1].ground, all[1].ground);
  Guest shifted(arena, "shifted");
  EXPECT_OK(shifted.space->map(over(pages(0, kTilePages), file, uvm::Sharing::Private, 1)));
  EXPECT_NE(tiles_of(*shifted.space)[0].ground, all[0].ground);
  Guest other(arena, "other");
  EXPECT_OK(other.space->map(over(pages(0, kTilePages), object(kTilePages))));
  EXPECT_NE(tiles_of(*other.space)[0].ground, all[0].ground);
}

class TilesOfALimitedSpace : public ReclaimFixture {};

TEST_F(TilesOfALimitedSpace, WhatWentToSwapIsSwapped) {
  write_pages(0, 100, 1);
  swap_out_all();
  ASSERT_GT(swapped(), 0U);
  const auto all = tiles_of(space);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].swapped, swapped());
  EXPECT_EQ(all[0].priv, 100 - swapped());
  EXPECT_EQ(guest.byte_at(page(0)), pattern(kPage, 1)[0]);
  EXPECT_LT(tiles_of(space)[0].swapped, all[0].swapped) << "and what came back is not";
}

TEST(TilesOfALargeSpace, AreThoseWhichAreMapped) {
  SimArena arena;
  SimMmu mmu(std::uint64_t{1} << 30, &arena);
  const auto space =
      uvm::Space::create("large", mmu, *uvm::GpaRange::from_size(uvm::Gpa(0), std::uint64_t{1} << 41));
  ASSERT_TRUE(space);
  EXPECT_OK((*space)->map(ram(*uvm::GpaRange::from_size(uvm::Gpa(std::uint64_t{1} << 40), kPage))));
  const auto all = tiles_of(**space);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].begin, uvm::Gpa(std::uint64_t{1} << 40));
}

}  // namespace tiles_test
}  // namespace test
