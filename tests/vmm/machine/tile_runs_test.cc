// Equal tiles are one run, and too many runs make larger tiles.
#include "vmm/machine/tile_runs.h"

#include <gtest/gtest.h>

#include <random>

namespace vmm {
namespace tile_runs_test {

using uvm::Gpa;
using uvm::Tile;

Tile tile(std::uint64_t number, std::uint64_t priv = 0, std::uint64_t ground = 7) {
  Tile made;
  made.begin = Gpa(number * uvm::kTileBytes);
  made.mapped = 512;
  made.priv = priv;
  made.ground = ground;
  return made;
}

TEST(TileRuns, JoinWhatIsEqualAndNextToEachOther) {
  TileRuns runs;
  for (std::uint64_t n = 0; n < 5; ++n) runs.add(tile(n));
  runs.add(tile(5, 1));
  runs.add(tile(6));
  runs.add(tile(9));
  runs.add(tile(10, 0, 8));
  runs.finish();
  ASSERT_EQ(runs.runs().size(), 5U);
  EXPECT_EQ(runs.runs()[0].count, 5U);
  EXPECT_EQ(runs.runs()[1].tile.priv, 1U);
  EXPECT_EQ(runs.runs()[3].tile.begin, tile(9).begin) << "a hole ends a run";
  EXPECT_EQ(runs.runs()[4].tile.ground, 8U);
  EXPECT_EQ(runs.tile_bytes(), uvm::kTileBytes);
  EXPECT_EQ(runs.totals().mapped, 9 * 512U);
  EXPECT_EQ(runs.totals().priv, 1U);
}

TEST(TileRuns, OfATerabyteUntouchedAreOne) {
  TileRuns runs;
  for (std::uint64_t n = 0; n < 524288; ++n) runs.add(tile(n));
  runs.finish();
  ASSERT_EQ(runs.runs().size(), 1U);
  EXPECT_EQ(runs.runs()[0].count, 524288U);
}

TEST(TileRuns, OfATerabyteOfDifferentTilesAreAsManyAsMayBe) {
  TileRuns runs;
  for (std::uint64_t n = 0; n < 524288; ++n) runs.add(tile(n, n % 512 + 1, n));
  runs.finish();
  EXPECT_LE(runs.runs().size(), kMostTileRuns);
  EXPECT_EQ(runs.tile_bytes(), 8 * uvm::kTileBytes) << "the limit that is told of";
  EXPECT_EQ(runs.totals().mapped, 524288 * 512U);
}

TEST(TileRuns, GrowLargerWithoutLosingAPage) {
  std::mt19937_64 random(20251127);
  for (int round = 0; round < 200; ++round) {
    TileRuns fine(1U << 20);
    TileRuns coarse(1 + random() % 8);
    std::uint64_t number = random() % 5;
    for (int i = 0; i < 300; ++i) {
      const Tile next = tile(number, random() % 3 == 0 ? random() % 4 : 0, random() % 2);
      fine.add(next);
      coarse.add(next);
      number += random() % 7 == 0 ? 1 + random() % 40 : 1;
    }
    fine.finish();
    coarse.finish();
    ASSERT_EQ(coarse.totals(), fine.totals());
    std::uint64_t mapped = 0;
    std::uint64_t priv = 0;
    std::uint64_t grounds = 0;
    std::uint64_t end = 0;
    for (const TileRun& run : coarse.runs()) {
      ASSERT_EQ(run.tile.begin.value() % coarse.tile_bytes(), 0U);
      ASSERT_GE(run.tile.begin.value(), end) << "runs do not overlap";
      end = run.tile.begin.value() + run.count * coarse.tile_bytes();
      mapped += run.count * run.tile.mapped;
      priv += run.count * run.tile.priv;
      grounds += run.count * run.tile.ground;
    }
    std::uint64_t fine_grounds = 0;
    for (const TileRun& run : fine.runs()) fine_grounds += run.count * run.tile.ground;
    ASSERT_EQ(mapped, fine.totals().mapped);
    ASSERT_EQ(priv, fine.totals().priv);
    ASSERT_EQ(grounds, fine_grounds);
  }
}

TEST(TileRuns, ThatCannotBecomeFewerStayAsTheyAre) {
  TileRuns runs(1);
  runs.add(tile(0));
  runs.add(tile(std::uint64_t{1} << 30));
  runs.finish();
  EXPECT_LE(runs.runs().size(), 2U);
  EXPECT_EQ(runs.totals().mapped, 1024U);
}

}  // namespace tile_runs_test
}  // namespace vmm
