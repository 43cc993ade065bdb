#include "vmm/swap/slot_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace vmm {
namespace slot_map_test {

TEST(SlotMap, GivesRunsOneBehindTheOther) {
  SlotMap map(200);
  EXPECT_EQ(map.take(16), 0U);
  EXPECT_EQ(map.take(1), 16U);
  EXPECT_EQ(map.take(100), 17U);
  EXPECT_EQ(map.used(), 117U);
  EXPECT_TRUE(map.taken(0, 117));
  EXPECT_FALSE(map.taken(0, 118));
}

TEST(SlotMap, UsesAHoleOnlyAfterTheEnd) {
  SlotMap map(64);
  EXPECT_EQ(map.take(32), 0U);
  map.free(4, 8);
  EXPECT_EQ(map.take(8), 32U);
  EXPECT_EQ(map.take(24), 40U);
  EXPECT_EQ(map.take(8), 4U);
  EXPECT_EQ(map.take(1), std::nullopt);
  EXPECT_EQ(map.used(), 64U);
}

TEST(SlotMap, FindsARunAcrossThePlaceItLooksFromFirst) {
  SlotMap map(32);
  ASSERT_EQ(map.take(32), 0U);
  map.free(28, 4);
  ASSERT_EQ(map.take(2), 28U);
  map.free(26, 2);
  map.free(28, 2);
  EXPECT_EQ(map.take(5), 26U) << "from before the next slot to behind it";
}

TEST(SlotMap, RefusesWhatDoesNotFitInARow) {
  SlotMap map(10);
  ASSERT_EQ(map.take(10), 0U);
  map.free(0, 1);
  map.free(2, 1);
  EXPECT_EQ(map.take(2), std::nullopt) << "two are free, but not in a row";
  EXPECT_EQ(map.take(11), std::nullopt);
  EXPECT_FALSE(map.taken(9, 2)) << "past the end";
  EXPECT_FALSE(map.taken(~std::uint64_t{0}, 2));
}

TEST(SlotMap, AgreesWithAnArray) {
  constexpr std::uint64_t kSlots = 333;
  SlotMap map(kSlots);
  std::vector<bool> model(kSlots);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> held;
  std::mt19937 random(7);
  for (int step = 0; step < 20000; ++step) {
    if (random() % 2 == 0 || held.empty()) {
      const std::uint64_t count = 1 + random() % 70;
      const auto first = map.take(count);
      std::uint64_t longest = 0;
      std::uint64_t row = 0;
      for (const bool taken : model) longest = std::max(longest, row = taken ? 0 : row + 1);
      ASSERT_EQ(first.has_value(), longest >= count) << "step " << step;
      if (!first) continue;
      for (std::uint64_t i = *first; i < *first + count; ++i) {
        ASSERT_FALSE(model[i]) << "slot " << i << " was given twice";
        model[i] = true;
      }
      held.emplace_back(*first, count);
    } else {
      const std::size_t which = random() % held.size();
      const auto [first, count] = held[which];
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
      map.free(first, count);
      for (std::uint64_t i = first; i < first + count; ++i) model[i] = false;
    }
    ASSERT_EQ(map.used(), static_cast<std::uint64_t>(std::ranges::count(model, true)));
  }
}

}  // namespace slot_map_test
}  // namespace vmm
