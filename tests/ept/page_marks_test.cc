#include "ept/host/page_marks.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "tests/ept/ept_support.h"

namespace ept::host {
namespace page_marks_test {

using test::pages;

TEST(PageMarks, RandomisedAgainstAPlainSet) {
  for (unsigned seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    PageMarks marks;
    std::set<std::uint64_t> model;
    for (int step = 0; step < 2000; ++step) {
      const std::uint64_t first = random() % 1500;
      const std::uint64_t count = 1 + (random() % 4 == 0 ? random() % 1200 : random() % 70);
      const auto range = pages(first, count);
      if (random() % 2 == 0) {
        marks.set(range);
        for (std::uint64_t i = 0; i < count; ++i) model.insert(first + i);
      } else {
        marks.clear(range);
        model.erase(model.lower_bound(first), model.lower_bound(first + count));
      }
      const std::uint64_t at = random() % 2700;
      const std::uint64_t looked = 1 + random() % 130;
      const auto lower = model.lower_bound(at);
      const auto marked = static_cast<std::uint64_t>(std::distance(lower, model.lower_bound(at + looked)));
      ASSERT_EQ(marks.cover(pages(at, looked)), marked == looked) << at << "+" << looked;
    }
  }
}

TEST(PageMarks, NothingIsKeptOfWhatIsClearedAsAWhole) {
  PageMarks marks;
  marks.set(pages(100, 2000));
  EXPECT_GT(marks.bytes(), 0u);
  marks.clear(pages(0, 1u << 20));
  EXPECT_EQ(marks.bytes(), 0u);
}

}  // namespace page_marks_test
}  // namespace ept::host
