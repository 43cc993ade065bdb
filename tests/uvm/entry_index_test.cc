#include "uvm/entry_index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/support/patterns.h"
#include "tests/uvm/fixture.h"
#include "uvm/entry.h"

namespace uvm {
namespace entry_index_test {

using test::page;

/// The index and what it has to answer.
class Pair {
 public:
  void insert(Gpa begin) {
    index_.make_room();
    const auto added = owner_.emplace(begin, Entry());
    if (added.second) index_.insert(begin, added.first->second);
  }
  void erase(Gpa begin) {
    if (owner_.count(begin) == 0) return;
    index_.erase(begin);
    owner_.erase(begin);
  }
  [[nodiscard]] bool agrees_at(Gpa address) const {
    const auto above = owner_.upper_bound(address);
    const Entry* wanted = above == owner_.begin() ? nullptr : &std::prev(above)->second;
    return index_.at_or_before(address) == wanted;
  }
  [[nodiscard]] std::size_t size() const { return owner_.size(); }
  [[nodiscard]] std::size_t bytes() const { return index_.metadata_bytes(); }

 private:
  EntryIndex index_;
  std::map<Gpa, Entry> owner_;
};

TEST(EntryIndex, AnEmptyOneFindsNothing) {
  Pair pair;
  EXPECT_TRUE(pair.agrees_at(page(0)));
  pair.insert(page(5));
  EXPECT_TRUE(pair.agrees_at(page(4)) && pair.agrees_at(page(5)) && pair.agrees_at(page(6)));
  pair.erase(page(5));
  EXPECT_TRUE(pair.agrees_at(page(5)));
}

TEST(EntryIndex, EveryOrderOfArrivalAndEnd) {
  for (const int order : {0, 1, 2}) {
    Pair pair;
    for (std::uint64_t i = 0; i < 1000; ++i) {
      pair.insert(page(order == 0 ? i : order == 1 ? 1000 - i : (i * 389) % 1000));
    }
    for (std::uint64_t i = 0; i < 1002; ++i) ASSERT_TRUE(pair.agrees_at(page(i))) << order << " " << i;
    for (std::uint64_t i = 0; i < 1000; ++i) {
      pair.erase(page((i * 571) % 1001));
      ASSERT_TRUE(pair.agrees_at(page(i))) << order << " " << i;
    }
    EXPECT_LE(pair.size(), 1U);
    EXPECT_LT(pair.bytes(), 4096U) << "blocks that nothing is in";
  }
}

TEST(EntryIndex, AnyMixture) {
  std::mt19937_64 random(test::test_seed());
  Pair pair;
  for (int step = 0; step < 20000; ++step) {
    const Gpa at = page(random() % 700);
    // Long stretches of growth and of decline, so that blocks split and join.
    if (random() % 10 < ((step / 2000) % 2 == 0 ? 7U : 3U)) {
      pair.insert(at);
    } else {
      pair.erase(at);
    }
    ASSERT_TRUE(pair.agrees_at(page(random() % 702))) << "step " << step;
  }
}

}  // namespace entry_index_test
}  // namespace uvm
