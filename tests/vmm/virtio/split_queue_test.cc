// The device's side of a ring against drivers that keep the rules, and against drivers that keep none.
#include "vmm/virtio/split_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/support/virtio_driver.h"
#include "tests/vmm/pins/pin_space.h"

namespace vmm::virtio {
namespace split_queue_test {

using test::VirtioDriver;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Part = VirtioDriver::Part;
constexpr auto kWriting = Part::For::Writing;

class SplitQueueTest : public test::PinSpace {
 protected:
  SplitQueue queue(std::uint64_t features = kFeatureIndirect, QueuePosition position = {}) {
    SplitQueue::Surroundings around{*space_, uvm::PinOwner::create("test0"),
                                    [](std::uint64_t gpa, std::uint64_t bytes) {
                                      const std::uint64_t end = kRamPages * kPage;
                                      return gpa < end && bytes <= end - gpa;
                                    }};
    auto made = SplitQueue::create(around, driver_->queue(), features, position);
    EXPECT_TRUE(made) << made.error().text();
    return *std::move(made);
  }
  /// What the next pop says of the ring.
  std::string refusal(SplitQueue queue) {
    Chain chain;
    const auto popped = queue.pop(chain);
    EXPECT_FALSE(popped);
    EXPECT_FALSE(queue.pop(chain)) << "a broken ring stays broken";
    return popped ? "" : popped.error().text();
  }

  const std::unique_ptr<VirtioDriver> driver_ =
      std::make_unique<VirtioDriver>(*space_, kPage, std::uint16_t{8});
};

TEST_F(SplitQueueTest, AChainComesAsItsPartsAndGoesBackWithItsLength) {
  SplitQueue rings = queue();
  Chain chain;
  EXPECT_FALSE(rings.pop(chain).value());
  const std::uint16_t head =
      driver_->offer({{5 * kPage + 3, 16}, {6 * kPage, 512, kWriting}, {7 * kPage, 1, kWriting}});
  ASSERT_TRUE(rings.pop(chain).value());
  EXPECT_EQ(chain.head, head);
  EXPECT_THAT(chain.readable, ElementsAre(Segment{5 * kPage + 3, 16}));
  EXPECT_THAT(chain.writable, ElementsAre(Segment{6 * kPage, 512}, Segment{7 * kPage, 1}));
  EXPECT_EQ(chain.writable_bytes(), 513U);
  EXPECT_EQ(rings.outstanding(), 1);
  rings.push(chain.head, 513);
  EXPECT_FALSE(driver_->used()) << "before it is published";
  rings.publish();
  EXPECT_EQ(driver_->used(), (VirtioDriver::Used{head, 513}));
  EXPECT_EQ(driver_->interrupts(), 1U);
}

TEST_F(SplitQueueTest, IndicesGoRoundTheRingAndRoundTheirSixteenBits) {
  driver_->set_offered(0xfffd);
  driver_->put<std::uint16_t>(driver_->queue().device_area + 2, 0xfffd);
  SplitQueue rings = queue(0, {0xfffd, 0xfffd});
  Chain chain;
  for (int i = 0; i < 40; ++i) {
    const std::uint16_t head = driver_->offer({{5 * kPage, 8}});
    ASSERT_TRUE(rings.pop(chain).value());
    EXPECT_EQ(chain.head, head);
    EXPECT_FALSE(rings.pop(chain).value());
    rings.push(head, 0);
    rings.publish();
  }
  EXPECT_EQ(rings.position(), (QueuePosition{37, 37}));
}

TEST_F(SplitQueueTest, WhatIsPutBackComesAgain) {
  SplitQueue rings = queue();
  Chain chain;
  driver_->offer({{5 * kPage, 8}});
  ASSERT_TRUE(rings.pop(chain).value());
  rings.unpop();
  EXPECT_EQ(rings.outstanding(), 0);
  ASSERT_TRUE(rings.pop(chain).value());
  EXPECT_THAT(chain.readable, ElementsAre(Segment{5 * kPage, 8}));
}

TEST_F(SplitQueueTest, AnIndirectTableIsFollowed) {
  driver_->put_descriptor_at(9 * kPage, 5 * kPage, 16, VirtioDriver::kNext, 1);
  driver_->put_descriptor_at(9 * kPage + 16, 6 * kPage, 32, VirtioDriver::kWrite, 0);
  driver_->put_descriptor(3, 9 * kPage, 32, VirtioDriver::kIndirect);
  driver_->offer_head(3);
  SplitQueue rings = queue();
  Chain chain;
  ASSERT_TRUE(rings.pop(chain).value());
  EXPECT_EQ(chain.head, 3);
  EXPECT_THAT(chain.readable, ElementsAre(Segment{5 * kPage, 16}));
  EXPECT_THAT(chain.writable, ElementsAre(Segment{6 * kPage, 32}));
}

TEST_F(SplitQueueTest, BrokenRingsAreNamed) {
  driver_->put_descriptor(0, 5 * kPage, 8, VirtioDriver::kNext, 0);
  driver_->offer_head(0);
  EXPECT_THAT(refusal(queue()), HasSubstr("a chain has no end"));

  driver_->put_descriptor(0, 5 * kPage, 8, VirtioDriver::kNext, 8);
  EXPECT_THAT(refusal(queue()), HasSubstr("descriptor 8 is behind the table's end"));

  driver_->put_descriptor(0, kRamPages * kPage - 4, 8, 0);
  EXPECT_THAT(refusal(queue()), HasSubstr("there is no memory"));
  driver_->put_descriptor(0, ~std::uint64_t{0} - 3, 8, 0);
  EXPECT_THAT(refusal(queue()), HasSubstr("there is no memory"));

  driver_->put_descriptor(0, 5 * kPage, 8, VirtioDriver::kWrite | VirtioDriver::kNext, 1);
  driver_->put_descriptor(1, 5 * kPage, 8, 0);
  EXPECT_THAT(refusal(queue()), HasSubstr("to be read is behind one to be written"));

  driver_->put_descriptor(0, 9 * kPage, 24, VirtioDriver::kIndirect);
  EXPECT_THAT(refusal(queue()), HasSubstr("an indirect table of 24 bytes"));
  driver_->put_descriptor(0, 9 * kPage, 0, VirtioDriver::kIndirect);
  EXPECT_THAT(refusal(queue()), HasSubstr("an indirect table of 0 bytes"));
  driver_->put_descriptor(0, kRamPages * kPage, 32, VirtioDriver::kIndirect);
  EXPECT_THAT(refusal(queue()), HasSubstr("there is no memory"));
  driver_->put_descriptor(0, 9 * kPage, 32, VirtioDriver::kIndirect);
  EXPECT_THAT(refusal(queue(0)), HasSubstr("where none can be")) << "a feature that was not agreed on";
  driver_->put_descriptor_at(9 * kPage, 9 * kPage, 32, VirtioDriver::kIndirect, 0);
  EXPECT_THAT(refusal(queue()), HasSubstr("where none can be")) << "a table in a table";

  driver_->offer_head(200);
  driver_->put<std::uint16_t>(driver_->queue().driver_area + 4, 200);
  EXPECT_THAT(refusal(queue()), HasSubstr("descriptor 200"));
  driver_->set_offered(9);
  EXPECT_THAT(refusal(queue()), HasSubstr("more chains are available than it has entries"));
}

TEST_F(SplitQueueTest, InterruptsComeWhenTheDriverWantsThem) {
  SplitQueue rings = queue();
  Chain chain;
  driver_->set_no_interrupts(true);
  driver_->offer({{5 * kPage, 8}});
  ASSERT_TRUE(rings.pop(chain).value());
  rings.push(chain.head, 0);
  rings.publish();
  EXPECT_EQ(driver_->interrupts(), 0U);
  rings.publish();
  driver_->set_no_interrupts(false);
  rings.publish();
  EXPECT_EQ(driver_->interrupts(), 0U) << "nothing new";
}

TEST_F(SplitQueueTest, WithEventIndicesOneInterruptForTheOneThatWasNamed) {
  SplitQueue rings = queue(kFeatureEventIndex);
  Chain chain;
  driver_->set_used_event(2);  // the third
  for (int i = 0; i < 4; ++i) {
    driver_->offer({{5 * kPage, 8}});
    ASSERT_TRUE(rings.pop(chain).value());
    rings.push(chain.head, 0);
    rings.publish();
    EXPECT_EQ(driver_->interrupts(), i == 2 ? 1U : 0U) << i;
  }
}

TEST_F(SplitQueueTest, NotificationsAreAskedForWithoutLosingOne) {
  SplitQueue rings = queue();
  rings.hush();
  EXPECT_TRUE(driver_->wants_no_notifications());
  driver_->offer({{5 * kPage, 8}});
  EXPECT_TRUE(rings.listen()) << "one came meanwhile";
  EXPECT_FALSE(driver_->wants_no_notifications());

  SplitQueue with_events = queue(kFeatureEventIndex);
  Chain chain;
  ASSERT_TRUE(with_events.pop(chain).value());
  EXPECT_FALSE(with_events.listen());
  EXPECT_EQ(driver_->available_event(), 1);
}

TEST_F(SplitQueueTest, ItsRingsArePinnedAsLongAsItLives) {
  {
    const SplitQueue rings = queue();
    EXPECT_EQ(pinned(), 3 * kPage);
  }
  EXPECT_EQ(pinned(), 0U);
}

TEST_F(SplitQueueTest, RandomRingsNeverLeadOutOfMemory) {
  std::mt19937 random(20260801);
  for (int round = 0; round < 2000; ++round) {
    for (std::uint16_t i = 0; i < 8; ++i) {
      driver_->put_descriptor(i, random() % (kRamPages * kPage + 64), random() % 64,
                              static_cast<std::uint16_t>(random() % 8),
                              static_cast<std::uint16_t>(random() % 9));
    }
    driver_->set_offered(static_cast<std::uint16_t>(random() % 10));
    SplitQueue rings = queue();
    Chain chain;
    for (auto popped = rings.pop(chain); popped && *popped; popped = rings.pop(chain)) {
      ASSERT_LE(chain.readable.size() + chain.writable.size(), 1024U);
      for (const auto* parts : {&chain.readable, &chain.writable}) {
        for (const Segment& part : *parts) ASSERT_LE(part.gpa + part.bytes, kRamPages * kPage);
      }
      rings.push(chain.head, 0);
    }
  }
}

}  // namespace split_queue_test
}  // namespace vmm::virtio
