#include "ept/pv_list.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/ept/ept_support.h"

namespace ept {
namespace pv_list_test {

using test::page;
using test::pages;

class Store : public uvm::FrameStore {
 public:
  [[nodiscard]] std::string_view name() const override { return "store"; }
};

TEST(PvList, TellsEveryPlaceOfAFrame) {
  Store store;
  int a = 0;
  int b = 0;
  PvList list;
  list.enter(&a, page(100), {{&store, 0}, 50});
  list.enter(&b, page(7), {{&store, 20}, 1});
  const auto found = list.places({&store, 20});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_TRUE((found[0] == PvList::Place{&a, page(120)}) || (found[1] == PvList::Place{&a, page(120)}));
  EXPECT_TRUE((found[0] == PvList::Place{&b, page(7)}) || (found[1] == PvList::Place{&b, page(7)}));
  EXPECT_TRUE(list.places({&store, 50}).empty());
}

TEST(PvList, NeighboursAreOneRecord) {
  Store store;
  int a = 0;
  PvList whole;
  whole.enter(&a, page(0), {{&store, 0}, 300});
  PvList single;
  for (const std::uint64_t i : {1u, 0u, 2u}) single.enter(&a, page(i * 100), {{&store, i * 100}, 100});
  EXPECT_EQ(single.bytes(), whole.bytes());
  EXPECT_EQ(single.places({&store, 250}), whole.places({&store, 250}));
}

TEST(PvList, RandomisedAgainstAPlainMap) {
  Store stores[2];
  int spaces[2] = {};
  for (unsigned seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    PvList list;
    std::map<std::pair<int, std::uint64_t>, uvm::Frame> model;
    for (int step = 0; step < 600; ++step) {
      const int space = static_cast<int>(random() % 2);
      const std::uint64_t first = random() % 60;
      const std::uint64_t count = 1 + random() % 12;
      if (random() % 3 != 0) {
        const uvm::Frame frame{&stores[random() % 2], random() % 40};
        list.enter(&spaces[space], page(first), {frame, count});
        for (std::uint64_t i = 0; i < count; ++i) model[{space, first + i}] = frame + i;
      } else {
        EXPECT_TRUE(list.remove(&spaces[space], pages(first, count)));
        for (std::uint64_t i = 0; i < count; ++i) model.erase({space, first + i});
      }
      for (int probe = 0; probe < 4; ++probe) {
        const uvm::Frame frame{&stores[random() % 2], random() % 52};
        std::vector<PvList::Place> wanted;
        for (const auto& [place, mapped] : model) {
          if (mapped == frame) wanted.push_back({&spaces[place.first], page(place.second)});
        }
        std::sort(wanted.begin(), wanted.end());
        ASSERT_EQ(list.places(frame), wanted) << "step " << step;
      }
    }
    list.remove_all(&spaces[0]);
    list.remove_all(&spaces[1]);
    EXPECT_EQ(list.bytes(), 0u);
  }
}

}  // namespace pv_list_test
}  // namespace ept
