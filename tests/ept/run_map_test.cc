#include "ept/run_map.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/ept/ept_support.h"

namespace ept {
namespace run_map_test {

using test::pages;

struct Number {
  std::uint64_t first = 0;
  [[nodiscard]] Number advanced(std::uint64_t count) const { return {first + count}; }
  friend bool operator==(Number, Number) = default;
};

TEST(RunMap, NeighboursThatContinueEachOtherAreOneRun) {
  RunMap<Number> map;
  map.assign(pages(0, 10), {100});
  map.assign(pages(20, 10), {120});
  EXPECT_EQ(map.size(), 2u);
  map.assign(pages(10, 10), {110});
  EXPECT_EQ(map.size(), 1u);
  map.assign(pages(5, 1), {7});
  EXPECT_EQ(map.size(), 3u);
  map.assign(pages(5, 1), {105});
  EXPECT_EQ(map.size(), 1u);
}

TEST(RunMap, RandomisedAgainstAPlainMap) {
  for (unsigned seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    RunMap<Number> map;
    std::map<std::uint64_t, std::uint64_t> model;
    for (int step = 0; step < 500; ++step) {
      const std::uint64_t first = random() % 100;
      const std::uint64_t count = 1 + random() % 20;
      if (random() % 4 != 0) {
        const std::uint64_t value = random() % 2 == 0 ? first : random() % 10;
        map.assign(pages(first, count), {value});
        for (std::uint64_t i = 0; i < count; ++i) model[first + i] = value + i;
      } else {
        map.erase(pages(first, count));
        for (std::uint64_t i = 0; i < count; ++i) model.erase(first + i);
      }
      const std::uint64_t from = random() % 60;
      std::map<std::uint64_t, std::uint64_t> seen;
      for (const auto& run : map.in(pages(from, 40))) {
        for (std::uint64_t i = 0; i < run.range.pages(); ++i) {
          seen[run.range.begin().page() + i] = run.value.first + i;
        }
      }
      const std::map<std::uint64_t, std::uint64_t> wanted(model.lower_bound(from),
                                                          model.lower_bound(from + 40));
      ASSERT_EQ(seen, wanted) << "step " << step;
    }
  }
}

}  // namespace run_map_test
}  // namespace ept
