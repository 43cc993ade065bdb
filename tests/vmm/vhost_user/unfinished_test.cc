// Which chains are out, against a device and a driver that know it.
#include "vmm/vhost_user/unfinished.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "tests/support/patterns.h"

namespace vmm::vhost_user {
namespace unfinished_test {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint16_t kEntries = 16;

/// A ring of which each side's half is played, with a driver that takes the head that became free last.
class Played {
 public:
  explicit Played(std::uint16_t begin) {
    ring_.available = ring_.used = begin;
    ring_.available_heads.resize(kEntries);
    ring_.used_heads.resize(kEntries);
    for (std::uint16_t head = kEntries; head > 0; --head)
      free_.push_back(static_cast<std::uint16_t>(head - 1));
  }
  [[nodiscard]] bool can_ask() const {
    // Of a chain that so many have overtaken nothing is left in the ring.
    return !free_.empty() && (out_.empty() || asked_ - out_.front().when < kEntries);
  }
  std::uint16_t ask() {
    const std::uint16_t head = free_.back();
    free_.pop_back();
    out_.push_back({head, asked_++});
    ring_.available_heads[ring_.available++ % kEntries] = head;
    return head;
  }
  /// Of those that are out, in the order that they came.
  void give_back(std::size_t which) {
    const std::uint16_t head = out_[which].head;
    out_.erase(out_.begin() + static_cast<std::ptrdiff_t>(which));
    free_.push_back(head);
    ring_.used_heads[ring_.used++ % kEntries] = head;
  }
  [[nodiscard]] std::size_t out() const { return out_.size(); }
  [[nodiscard]] std::vector<std::uint16_t> heads() const {
    std::set<std::uint16_t> all;
    for (const Out& each : out_) all.insert(each.head);
    return {all.begin(), all.end()};
  }
  [[nodiscard]] const virtio::RingContents& ring() const { return ring_; }

 private:
  struct Out {
    std::uint16_t head;
    std::uint64_t when;
  };
  virtio::RingContents ring_;
  std::vector<std::uint16_t> free_;
  std::vector<Out> out_;
  std::uint64_t asked_ = 0;
};

enum class Order { First, Any };

/// Asks and answers at random, with at most `depth` out.
void play(Played& played, std::mt19937_64& random, std::size_t depth, Order order) {
  for (int step = 0; step < 200; ++step) {
    if (played.out() < depth && played.can_ask() && (played.out() == 0 || random() % 2 == 0)) {
      played.ask();
    } else {
      played.give_back(order == Order::First ? 0 : random() % played.out());
    }
  }
}

TEST(UnfinishedTest, IsCertainAtOnceOfADeviceThatKeepsTheOrder) {
  std::mt19937_64 random(test::test_seed());
  for (int round = 0; round < 500; ++round) {
    Played played(static_cast<std::uint16_t>(random()));
    play(played, random, 1 + random() % kEntries, Order::First);
    Unfinished unfinished(played.ring());
    EXPECT_EQ(unfinished.count(), played.out());
    EXPECT_EQ(unfinished.take(), played.heads()) << "round " << round;
    EXPECT_EQ(unfinished.count(), 0U);
    EXPECT_THAT(unfinished.take(), IsEmpty()) << "once";
  }
}

TEST(UnfinishedTest, IsNeverWrongAndCertainWhenTheFreeOnesWereAllUsedAgain) {
  std::mt19937_64 random(test::test_seed());
  unsigned at_once = 0;
  for (int round = 0; round < 500; ++round) {
    Played played(static_cast<std::uint16_t>(random()));
    play(played, random, 1 + random() % kEntries, Order::Any);
    const auto truth = played.heads();
    Unfinished unfinished(played.ring());
    auto found = unfinished.take();
    at_once += found.empty() ? 0U : 1U;
    while (found.empty() && !truth.empty()) {
      // The driver takes from what is free until nothing is.
      ASSERT_LT(played.out(), kEntries) << "round " << round;
      unfinished.is_free(played.ask());
      found = unfinished.take();
    }
    EXPECT_EQ(found, truth) << "round " << round;
  }
  EXPECT_GT(at_once, 50U);
}

TEST(UnfinishedTest, MakesNothingOfNonsense) {
  virtio::RingContents ring;
  ring.available_heads = {900, 1, 2, 65535};
  ring.used_heads = {7, 7, 900, 65535};
  ring.available = 5;
  EXPECT_EQ(Unfinished(ring).count(), 0U) << "more are out than there is room for";
  ring.available = 3;
  Unfinished unfinished(ring);
  EXPECT_EQ(unfinished.count(), 3U);
  EXPECT_THAT(unfinished.take(), IsEmpty());
  ring.available = 2;
  EXPECT_THAT(Unfinished(ring).take(), ElementsAre(1, 2)) << "what may be";
  EXPECT_THAT(Unfinished().take(), IsEmpty());
}

}  // namespace unfinished_test
}  // namespace vmm::vhost_user
