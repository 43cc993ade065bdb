#include "uvm/base/page_set.h"

#include <gtest/gtest.h>

#include <array>

namespace uvm {
namespace page_set_test {

GpaRange pages(std::uint64_t first, std::uint64_t count) {
  return *GpaRange::from_size(Gpa(first << kPageShift), count << kPageShift);
}

TEST(PageSet, HoldsWhatWasAddedAndNothingOutsideOfItsRange) {
  PageSet set(pages(100, 200));
  set.add(pages(90, 12));
  set.add(pages(163, 66));
  set.add(pages(299, 5));
  EXPECT_EQ(set.pages(), 2U + 66U + 1U);
  EXPECT_TRUE(set.contains(Gpa(101 << kPageShift)));
  EXPECT_FALSE(set.contains(Gpa(102 << kPageShift)));
  EXPECT_FALSE(set.contains(Gpa(99 << kPageShift)));
  EXPECT_FALSE(set.contains(Gpa(300 << kPageShift)));
  EXPECT_EQ(set.runs(), (std::vector<GpaRange>{pages(100, 2), pages(163, 66), pages(299, 1)}));
  set.clear();
  EXPECT_EQ(set.pages(), 0U);
  EXPECT_TRUE(set.runs().empty());
}

TEST(PageSet, TakesBitsThatBeginAnywhere) {
  PageSet set(pages(0, 300));
  const std::array<std::uint64_t, 2> bits{0b1011, std::uint64_t{1} << 63};
  set.add(Gpa(70 << kPageShift), bits);
  EXPECT_EQ(set.runs(), (std::vector<GpaRange>{pages(70, 2), pages(73, 1), pages(70 + 127, 1)}));
}

TEST(PageSet, OfNothingIsEmpty) {
  PageSet set;
  set.add(pages(0, 5));
  EXPECT_EQ(set.pages(), 0U);
  EXPECT_FALSE(set.contains(Gpa(0)));
}

}  // namespace page_set_test
}  // namespace uvm
