#include "uvm/counted_ranges.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <span>

#include "tests/uvm/fixture.h"

namespace test {
namespace counted_ranges_test {

TEST(CountedRangesTest, CountsNest) {
  uvm::CountedRanges counts;
  counts.add(pages(2, 4));
  counts.add(pages(4, 4));
  EXPECT_EQ(counts.count_at(page(1)), 0U);
  EXPECT_EQ(counts.count_at(page(2)), 1U);
  EXPECT_EQ(counts.count_at(page(5)), 2U);
  EXPECT_EQ(counts.count_at(page(7)), 1U);
  EXPECT_EQ(counts.count_at(page(8)), 0U);
  EXPECT_EQ(counts.covered(), 6 * kPage);
  counts.remove(pages(2, 4));
  EXPECT_EQ(counts.parts(pages(0, 100)), std::vector{pages(4, 4)});
  counts.remove(pages(4, 4));
  EXPECT_TRUE(counts.parts(pages(0, 100)).empty());
}

TEST(CountedRangesTest, LeavesNoEdgeAndAFewBlocksBehind) {
  uvm::CountedRanges counts;
  counts.add(pages(64, 640));
  counts.remove(pages(64, 640));
  EXPECT_EQ(counts.metadata_bytes(), 0U) << "no edge is left";
  counts.add(pages(3, 1));
  const std::uint64_t block = counts.metadata_bytes();
  counts.remove(pages(3, 1));
  EXPECT_EQ(counts.metadata_bytes(), block) << "it is wanted again, as a rule";
  for (std::uint64_t i = 0; i < 1000; ++i) counts.add(pages(i * 64, 1));
  EXPECT_EQ(counts.metadata_bytes(), 1000 * block);
  for (std::uint64_t i = 0; i < 1000; ++i) counts.remove(pages(i * 64, 1));
  EXPECT_EQ(counts.metadata_bytes(), 64 * block);
  EXPECT_EQ(counts.covered(), 0U);
  for (std::uint64_t i = 0; i < 1000; ++i) counts.add(pages(i * 64 + 7, 1));
  EXPECT_EQ(counts.metadata_bytes(), 1000 * block);
}

// Ranges of every kind: inside a block of 64 pages, over its edges, of whole blocks.
TEST(CountedRangesTest, AgreesWithAnArray) {
  constexpr std::uint64_t kPages = 400;
  std::mt19937_64 random(test_seed());
  uvm::CountedRanges counts;
  std::array<std::uint64_t, kPages> model{};
  std::vector<std::pair<std::uint64_t, std::uint64_t>> added;
  for (int i = 0; i < 2000 && !::testing::Test::HasFailure(); ++i) {
    const bool remove = !added.empty() && (random() % 2 == 0 || added.size() > 12);
    auto range = std::pair(random() % kPages, std::uint64_t{1});
    range.second = std::min(range.second + random() % (random() % 2 == 0 ? 8 : kPages), kPages - range.first);
    if (remove) {
      const std::size_t which = random() % added.size();
      range = added[which];
      added.erase(added.begin() + static_cast<std::ptrdiff_t>(which));
      counts.remove(pages(range.first, range.second));
    } else {
      added.push_back(range);
      const std::uint64_t highest = counts.add(pages(range.first, range.second));
      const auto touched = std::span(model).subspan(range.first, range.second);
      EXPECT_EQ(highest, *std::ranges::max_element(touched) + 1);
    }
    std::uint64_t most = 0;
    std::uint64_t covered = 0;
    for (std::uint64_t p = 0; p < kPages; ++p) {
      if (p >= range.first && p < range.first + range.second) remove ? --model[p] : ++model[p];
      EXPECT_EQ(counts.count_at(page(p)), model[p]);
      most = std::max(most, model[p]);
      covered += model[p] != 0 ? kPage : 0;
    }
    EXPECT_EQ(counts.most(pages(0, kPages)), most);
    EXPECT_EQ(counts.covered(), covered);
    EXPECT_EQ(counts.covered(pages(0, kPages)), covered);
  }
}

}  // namespace counted_ranges_test
}  // namespace test
