#include "uvm/base/range.h"

#include <gtest/gtest.h>

#include <limits>

namespace uvm {
namespace range_test {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

GpaRange range(std::uint64_t begin, std::uint64_t end) {
  return *GpaRange::from_bounds(Gpa(begin), Gpa(end));
}

TEST(RangeTest, RefusesWhatWraps) {
  EXPECT_FALSE(GpaRange::from_size(Gpa(kMost), 2));
  EXPECT_FALSE(GpaRange::from_size(Gpa(2), kMost));
  EXPECT_FALSE(GpaRange::from_bounds(Gpa(2), Gpa(1)));
  EXPECT_TRUE(GpaRange::from_size(Gpa(kMost), 0));
  EXPECT_EQ(GpaRange::from_size(Gpa(kMost - 7), 7)->end(), Gpa(kMost));
}

TEST(RangeTest, IsHalfOpen) {
  const GpaRange r = range(0x1000, 0x3000);
  EXPECT_TRUE(r.contains(Gpa(0x1000)));
  EXPECT_FALSE(r.contains(Gpa(0x3000)));
  EXPECT_FALSE(r.contains(Gpa(0xfff)));
  EXPECT_EQ(r.pages(), 2U);
  EXPECT_TRUE(r.is_page_aligned());
  EXPECT_FALSE(range(1, 0x1000).is_page_aligned());
}

TEST(RangeTest, NeighboursDoNotOverlap) {
  EXPECT_FALSE(range(0, 0x1000).overlaps(range(0x1000, 0x2000)));
  EXPECT_TRUE(range(0, 0x1001).overlaps(range(0x1000, 0x2000)));
  EXPECT_FALSE(range(0x1000, 0x1000).overlaps(range(0, 0x2000)));
}

TEST(RangeTest, IntersectsAndCuts) {
  const GpaRange r = range(0x1000, 0x5000);
  EXPECT_EQ(r.intersection(range(0x2000, 0x9000)), range(0x2000, 0x5000));
  EXPECT_TRUE(r.intersection(range(0x6000, 0x9000)).empty());
  EXPECT_EQ(r.before(Gpa(0x2000)), range(0x1000, 0x2000));
  EXPECT_EQ(r.from(Gpa(0x2000)), range(0x2000, 0x5000));
  EXPECT_TRUE(r.before(Gpa(0)).empty());
  EXPECT_TRUE(r.from(Gpa(0x7000)).empty());
}

TEST(RangeTest, CoversWholePages) {
  EXPECT_EQ(range(0x1234, 0x1235).page_cover(), range(0x1000, 0x2000));
  EXPECT_FALSE(range(kMost - 4, kMost).page_cover());
  EXPECT_EQ(GpaRange::page_of(Gpa(0x1fff)), range(0x1000, 0x2000));
  EXPECT_TRUE(GpaRange::page_of(Gpa(kMost)).empty());
}

TEST(RangeTest, PrintsHex) {
  EXPECT_EQ(hex(0), "0x0");
  EXPECT_EQ(hex(kMost), "0xffffffffffffffff");
  EXPECT_EQ(to_string(range(0x1000, 0x3000)), "0x1000+0x2000");
}

}  // namespace range_test
}  // namespace uvm
