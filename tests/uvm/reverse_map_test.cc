#include "uvm/reverse_map.h"

#include <gtest/gtest.h>

#include "tests/uvm/fixture.h"

namespace uvm {
namespace reverse_map_test {

using test::kPage;
using test::pages;

class ReverseMapTest : public ::testing::Test {
 protected:
  static ObjectRange window(std::uint64_t first, std::uint64_t count) {
    return *ObjectRange::from_size(ObjectOffset(first * kPage), count * kPage);
  }
  std::vector<std::pair<Pmap*, GpaRange>> places(ObjectRange range) const {
    std::vector<std::pair<Pmap*, GpaRange>> found;
    map.each_place(range, [&](Pmap& pmap, GpaRange part) { found.emplace_back(&pmap, part); });
    return found;
  }

  test::SimMmu a{1 << 20};
  test::SimMmu b{1 << 20};
  ReverseMap map;
};

TEST_F(ReverseMapTest, PlacesAreArithmetic) {
  map.add({&a, pages(16, 8), ObjectOffset(4 * kPage)});  // shows [4, 12)
  EXPECT_TRUE(places(window(0, 4)).empty());
  const auto found = places(window(10, 8));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].first, &a);
  EXPECT_EQ(found[0].second, pages(22, 2));
}

TEST_F(ReverseMapTest, ClippingDoesNotShare) {
  map.add({&a, pages(0, 4), ObjectOffset()});
  map.add({&a, pages(4, 4), ObjectOffset(4 * kPage)});
  EXPECT_FALSE(map.is_shared_in(window(0, 8)));
  map.add({&a, pages(8, 4), ObjectOffset()});
  EXPECT_TRUE(map.is_shared_in(window(0, 8))) << "the same page at two addresses";
  map.remove({&a, pages(8, 4), ObjectOffset()});
  EXPECT_FALSE(map.is_shared_in(window(0, 8)));
  map.add({&b, pages(0, 4), ObjectOffset()});
  EXPECT_TRUE(map.is_shared_in(window(0, 8))) << "two pmaps";
  EXPECT_EQ(places(window(0, 1)).size(), 2U);
  EXPECT_FALSE(map.is_shared_in(window(4, 4))) << "only the part that both show";
}

TEST_F(ReverseMapTest, FindsWhatNobodyShows) {
  map.add({&a, pages(0, 2), ObjectOffset(2 * kPage)});
  map.add({&b, pages(0, 3), ObjectOffset(3 * kPage)});
  map.add({&a, pages(9, 1), ObjectOffset(8 * kPage)});
  EXPECT_EQ(map.first_uncovered(window(0, 10)), window(0, 2));
  EXPECT_EQ(map.first_uncovered(window(2, 8)), window(6, 2));
  EXPECT_EQ(map.first_uncovered(window(8, 2)), window(9, 1));
  EXPECT_TRUE(map.first_uncovered(window(2, 4)).empty());
}

TEST_F(ReverseMapTest, SplitsAndJoins) {
  const Use whole{&a, pages(0, 8), ObjectOffset(4 * kPage)};
  map.add(whole);
  map.split(whole, test::page(3));
  EXPECT_EQ(map.size(), 2U);
  EXPECT_FALSE(map.is_shared_in(window(0, 16)));
  EXPECT_EQ(places(window(6, 2)),
            (std::vector<std::pair<Pmap*, GpaRange>>{{&a, pages(2, 1)}, {&a, pages(3, 1)}}));
  const Use low{&a, pages(0, 3), ObjectOffset(4 * kPage)};
  const Use high{&a, pages(3, 5), ObjectOffset(7 * kPage)};
  map.join(low, high);
  EXPECT_EQ(places(window(0, 16)), (std::vector<std::pair<Pmap*, GpaRange>>{{&a, pages(0, 8)}}));
}

TEST_F(ReverseMapTest, OneUseMayReplaceAnother) {
  map.add({&a, pages(0, 4), ObjectOffset()});
  map.add({&a, pages(0, 2), ObjectOffset(kPage)});
  map.remove({&a, pages(0, 4), ObjectOffset()});
  EXPECT_EQ(places(window(0, 4)), (std::vector<std::pair<Pmap*, GpaRange>>{{&a, pages(0, 2)}}));
}

TEST_F(ReverseMapTest, UnknownUsesAreIgnored) {
  map.remove({&a, pages(0, 2), ObjectOffset()});
  EXPECT_TRUE(map.empty());
}

}  // namespace reverse_map_test
}  // namespace uvm
