#include "uvm/map.h"

#include <gtest/gtest.h>

#include "tests/uvm/fixture.h"

namespace uvm {
namespace map_test {

using test::kPage;
using test::page;
using test::pages;

class MapTest : public ::testing::Test {
 protected:
  static Entry entry(GpaRange range, const char* name = "ram") {
    Entry made;
    made.range = range;
    made.name = std::make_shared<const std::string>(name);
    made.protection = made.max_protection = Protection::All;
    return made;
  }
  test::SimMmu mmu{1 << 20};
  Map map{mmu};
};

TEST_F(MapTest, FindsTheEntryOrTheNextOne) {
  const ExclusiveLock lock(map.lock());
  map.insert(entry(pages(4, 2)));
  map.insert(entry(pages(10, 1)));
  EXPECT_EQ(map.find(page(3)), nullptr);
  EXPECT_EQ(map.find(page(4))->range, pages(4, 2));
  EXPECT_EQ(map.find(page(6) - 1)->range, pages(4, 2));
  EXPECT_EQ(map.find(page(6)), nullptr);
  EXPECT_EQ(map.first_from(page(6))->range, pages(10, 1));
  EXPECT_EQ(map.first_from(page(5))->range, pages(4, 2));
  EXPECT_EQ(map.first_from(page(11)), nullptr);
  EXPECT_EQ(map.first_hole(pages(4, 2)), std::nullopt);
  EXPECT_EQ(map.first_hole(pages(4, 3)), page(6));
  EXPECT_EQ(map.first_hole(pages(0, 9)), page(0));
}

TEST_F(MapTest, TakesOutPartsAndKeepsTheRest) {
  const ExclusiveLock lock(map.lock());
  auto object = Object::create(std::make_shared<test::FakePager>("o", 8 * kPage));
  Entry whole = entry(pages(0, 8));
  whole.object = object;
  map.insert(whole);
  const auto taken = map.take(pages(2, 3));
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_EQ(taken.begin()->second.range, pages(2, 3));
  EXPECT_EQ(taken.begin()->second.offset, ObjectOffset(2 * kPage));
  EXPECT_EQ(map.find(page(5))->offset, ObjectOffset(5 * kPage));
  EXPECT_EQ(map.size(), 2U);
  EXPECT_EQ(object->uses(), 2U);
}

TEST_F(MapTest, MergesOnlyWhatCouldHaveBeenOne) {
  const ExclusiveLock lock(map.lock());
  map.insert(entry(pages(0, 1)));
  map.insert(entry(pages(1, 1)));
  map.insert(entry(pages(2, 1), "rom"));
  map.insert(entry(pages(4, 1), "rom"));
  map.merge(pages(0, 5));
  EXPECT_EQ(map.size(), 3U);
  EXPECT_EQ(map.find(page(0))->range, pages(0, 2));
}

TEST_F(MapTest, AnyAttributeKeepsMappingsApart) {
  const Entry low = entry(pages(0, 1));
  const Entry next = entry(pages(1, 1));
  EXPECT_TRUE(low.merges_with(next));
  EXPECT_FALSE(low.merges_with(entry(pages(2, 1)))) << "a hole between them";
  const auto merges_after = [&](auto change) {
    Entry changed = next;
    change(changed);
    return low.merges_with(changed);
  };
  EXPECT_FALSE(merges_after([](Entry& e) { e.sharing = Sharing::Shared; }));
  EXPECT_FALSE(merges_after([](Entry& e) { e.protection = Protection::Read; }));
  EXPECT_FALSE(merges_after([](Entry& e) { e.max_protection = Protection::Read; }));
  EXPECT_FALSE(merges_after([](Entry& e) { e.inherit = Inherit::Share; }));
  EXPECT_FALSE(merges_after([](Entry& e) { e.advice = Advice::Random; }));
  EXPECT_FALSE(merges_after([](Entry& e) { e.needs_copy = true; }));
  EXPECT_FALSE(merges_after([](Entry& e) { e.name = std::make_shared<const std::string>("rom"); }));
  EXPECT_FALSE(merges_after([](Entry& e) { e.amap = std::make_shared<Amap>(); }));
}

TEST_F(MapTest, MergesObjectsOnlyWhereTheyContinue) {
  const ExclusiveLock lock(map.lock());
  auto object = Object::create(std::make_shared<test::FakePager>("o", 8 * kPage));
  for (const std::uint64_t first : {0U, 1U, 3U}) {
    Entry part = entry(pages(map.size(), 1));
    part.object = object;
    part.offset = ObjectOffset(first * kPage);
    map.insert(part);
  }
  map.merge(pages(0, 3));
  EXPECT_EQ(map.size(), 2U);
  EXPECT_EQ(object->uses(), 2U);
}

TEST_F(MapTest, DoesNotMergeWhatMustBeCopiedWithWhatNeedNot) {
  Entry low = entry(pages(0, 4));
  low.amap = std::make_shared<Amap>();
  Entry high = low.clipped(pages(2, 2));
  low = low.clipped(pages(0, 2));
  EXPECT_TRUE(low.merges_with(high));
  high.needs_copy = true;
  EXPECT_FALSE(low.merges_with(high));
  high.needs_copy = false;
  high.slot = 3;
  EXPECT_FALSE(low.merges_with(high)) << "not the next slot";
}

TEST_F(MapTest, TheVersionGrowsWithEveryChange) {
  const ExclusiveLock lock(map.lock());
  std::uint64_t last = map.version();
  const auto grew = [&]() NO_THREAD_SAFETY_ANALYSIS {
    return std::exchange(last, map.version()) < map.version();
  };
  map.insert(entry(pages(0, 4)));
  EXPECT_TRUE(grew());
  map.clip(pages(1, 1));
  EXPECT_TRUE(grew());
  map.each_for_change(pages(1, 1), [](Entry& changed) { changed.advice = Advice::Random; });
  EXPECT_TRUE(grew());
  (void)map.take(pages(0, 4));
  EXPECT_TRUE(grew());
  (void)map.find(page(0));
  EXPECT_FALSE(grew());
}

}  // namespace map_test
}  // namespace uvm
