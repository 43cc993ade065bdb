// The balloon: pages that come back, what a driver can say wrong, statistics, targets, and standing still.
#include "vmm/virtio/balloon/balloon.h"

#include <gtest/gtest.h>

#include "tests/support/eventually.h"
#include "tests/support/virtio_driver.h"
#include "tests/support/virtio_space.h"
#include "vmm/snapshot/section_fields.h"

namespace vmm::virtio::balloon {
namespace balloon_test {

using test::eventually;
using test::VirtioDriver;
using Part = VirtioDriver::Part;
constexpr auto kWriting = Part::For::Writing;

constexpr std::uint64_t kMemory = 32 * uvm::kPageSize;

/// Rings in the first twelve pages, numbers and reports in page 12; pages 16 to 31 are private.
class BalloonTest : public test::VirtioSpace {
 protected:
  struct Made {
    Balloon* balloon;
    std::unique_ptr<LocalDevice> device;
  };
  Made make(const Options& options = {}) {
    auto service = std::make_unique<Balloon>(*space_, options, kMemory);
    Balloon* const balloon = service.get();
    return {balloon, attached("balloon0", std::move(service))};
  }
  static Activation activation(std::uint64_t features, std::vector<Queue> queues) {
    return {kFeatureVersion1 | features, std::move(queues)};
  }
  /// The numbers in page 12, told to a queue.
  void tell(VirtioDriver& queue, std::initializer_list<std::uint32_t> numbers) {
    std::uint64_t at = kNumbers;
    for (const std::uint32_t number : numbers) {
      queue.put(at, number);
      at += 4;
    }
    queue.offer({{kNumbers, static_cast<std::uint32_t>(at - kNumbers)}});
    queue.notify();
  }
  void put_statistic(std::uint64_t index, std::uint16_t tag, std::uint64_t value) {
    statistics_.put(kNumbers + 10 * index, tag);
    statistics_.put(kNumbers + 10 * index + 2, value);
  }

  static constexpr std::uint64_t kNumbers = 12 * kPage;
  VirtioDriver inflate_{*space_, 0, 8, 0};
  VirtioDriver deflate_{*space_, 3 * kPage, 8, 1};
  VirtioDriver statistics_{*space_, 6 * kPage, 8, 2};
  VirtioDriver reports_{*space_, 9 * kPage, 8, 4};
};

TEST_F(BalloonTest, PagesThatGoInCostNothingAndComeBackAsZeros) {
  auto [balloon, device] = make();
  for (std::uint64_t page = 13; page < 32; ++page) set_word(page, page);
  device->start(activation(0, {inflate_.queue(), deflate_.queue()}));
  tell(inflate_, {20, 18, 19, 14, 18, 31});
  EXPECT_EQ(inflate_.wait_used(), (VirtioDriver::Used{0, 0}));
  EXPECT_EQ(balloon->statistics().given_back, 5 * kPage);
  EXPECT_EQ(balloon->statistics().kept, 0U);
  EXPECT_FALSE(pmap_->harvest_page(uvm::Gpa(19 * kPage))) << "private pages are freed";
  EXPECT_TRUE(pmap_->harvest_page(uvm::Gpa(21 * kPage)));
  for (const std::uint64_t page : {14U, 18U, 19U, 20U, 31U}) EXPECT_EQ(word(page), 0U) << page;
  EXPECT_EQ(word(21), 21U);
  EXPECT_EQ(word(15), 15U);
  tell(deflate_, {20});
  EXPECT_EQ(deflate_.wait_used(), (VirtioDriver::Used{0, 0}));
  set_word(20, 7);
  EXPECT_EQ(word(20), 7U);
}

TEST_F(BalloonTest, WhatIsPinnedOrNoMemoryStaysAndIsNoError) {
  auto [balloon, device] = make();
  set_word(20, 20);
  device->start(activation(0, {inflate_.queue(), deflate_.queue()}));
  auto pin = uvm::Pin::create(*space_, pages(20, 1), uvm::PinAccess::Write, uvm::PinOwner::create("vfio0"));
  ASSERT_TRUE(pin);
  tell(inflate_, {20, 21, 0, 40, 0x7fffffff, 0xffffffff});
  EXPECT_EQ(inflate_.wait_used(), (VirtioDriver::Used{0, 0}));
  EXPECT_EQ(balloon->statistics().given_back, kPage);
  EXPECT_EQ(balloon->statistics().kept, 5 * kPage) << "pinned, a ring, and where nothing is";
  EXPECT_EQ(word(20), 20U);
  EXPECT_EQ(host_.failures, 0);
}

TEST_F(BalloonTest, NumbersThatAreCutOffAreNone) {
  auto [balloon, device] = make();
  set_word(20, 20);
  device->start(activation(0, {inflate_.queue(), deflate_.queue()}));
  inflate_.put<std::uint32_t>(kNumbers, 20);
  inflate_.offer({{kNumbers, 3}});
  inflate_.offer({{kNumbers, 7}});
  inflate_.offer({{kNumbers, 0}});
  inflate_.offer({{kNumbers, 4, kWriting}});
  inflate_.notify();
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(inflate_.wait_used());
  EXPECT_EQ(balloon->statistics().given_back, kPage) << "of the second";
}

TEST_F(BalloonTest, ABrokenRingStopsItAndNothingElse) {
  auto [balloon, device] = make();
  device->start(activation(0, {inflate_.queue(), deflate_.queue()}));
  inflate_.offer({{64 * kPage, 4}});
  inflate_.notify();
  EXPECT_TRUE(eventually([&] { return host_.failures == 1; }));
  EXPECT_EQ(pinned(), 0U);
  device->stop();
  EXPECT_TRUE(eventually([&] { return host_.stops == 1; }));
}

TEST_F(BalloonTest, FreeBlocksAreGivenBackInWholePages) {
  Options options;
  options.free_pages = FreePages::Reported;
  auto [balloon, device] = make(options);
  EXPECT_EQ(balloon->features(), kFeatureReporting);
  for (std::uint64_t page = 16; page < 32; ++page) set_word(page, page);
  device->start(activation(kFeatureReporting, {inflate_.queue(), deflate_.queue(), reports_.queue()}));
  reports_.offer({{16 * kPage, 4 * kPage, kWriting}, {24 * kPage + 8, 2 * kPage, kWriting}});
  reports_.notify();
  EXPECT_EQ(reports_.wait_used(), (VirtioDriver::Used{0, 0}));
  EXPECT_EQ(balloon->statistics().given_back, 5 * kPage);
  EXPECT_EQ(word(19), 0U);
  EXPECT_EQ(word(24), 24U) << "in part";
  EXPECT_EQ(word(25), 0U);
  EXPECT_EQ(word(26), 26U);
}

TEST_F(BalloonTest, LinuxCountsItsReportingQueueWithoutGaps) {
  Options options;
  options.free_pages = FreePages::Reported;
  options.statistics_seconds = 3600;
  VirtioDriver third(*space_, 9 * kPage, 8, 3);
  auto [balloon, device] = make(options);
  set_word(16, 16);
  device->start(activation(kFeatureReporting | kFeatureStatistics,
                           {inflate_.queue(), deflate_.queue(), statistics_.queue(), third.queue()}));
  third.offer({{16 * kPage, 4096, kWriting}});
  third.notify();
  EXPECT_TRUE(third.wait_used());
  EXPECT_EQ(word(16), 0U);
  device.reset();
  VirtioDriver second(*space_, 6 * kPage, 8, 2);
  auto [other, without] = make({.free_pages = FreePages::Reported});
  set_word(16, 16);
  second.offer({{16 * kPage, 4096, kWriting}});
  without->start(activation(kFeatureReporting, {inflate_.queue(), deflate_.queue(), second.queue()}));
  EXPECT_TRUE(second.wait_used());
  EXPECT_EQ(word(16), 0U);
}

TEST_F(BalloonTest, StatisticsAreAskedForAgainAndAgain) {
  auto [balloon, device] = make({.statistics_seconds = 1});
  EXPECT_EQ(balloon->features(), kFeatureStatistics);
  put_statistic(0, 4, 1000);
  put_statistic(1, 5, 2000);
  put_statistic(2, 999, 3000);
  put_statistic(3, 6, 4000);
  statistics_.offer({{kNumbers, 37}});  // the last one is cut off
  device->start(activation(kFeatureStatistics, {inflate_.queue(), deflate_.queue(), statistics_.queue()}));
  ASSERT_TRUE(eventually([&balloon = balloon] { return balloon->statistics().guest.free_memory == 1000; }));
  EXPECT_EQ(balloon->statistics().guest.total_memory, 2000U);
  EXPECT_FALSE(balloon->statistics().guest.available_memory);
  EXPECT_EQ(statistics_.wait_used(), (VirtioDriver::Used{0, 0})) << "when the time has come";
  put_statistic(0, 4, 1001);
  statistics_.offer({{kNumbers, 20}});
  statistics_.notify();
  EXPECT_TRUE(eventually([&balloon = balloon] { return balloon->statistics().guest.free_memory == 1001; }));
  EXPECT_TRUE(statistics_.wait_used());
}

TEST_F(BalloonTest, ADriverThatGivesTwoBuffersGetsOneBackAtOnce) {
  auto [balloon, device] = make({.statistics_seconds = 3600});
  put_statistic(0, 4, 1000);
  statistics_.offer({{kNumbers, 10}});
  statistics_.offer({{kNumbers, 10}});
  device->start(activation(kFeatureStatistics, {inflate_.queue(), deflate_.queue(), statistics_.queue()}));
  EXPECT_EQ(statistics_.wait_used(), (VirtioDriver::Used{0, 0}));
  device->rest();
  EXPECT_FALSE(statistics_.used()) << "at rest the other one was never taken";
  EXPECT_EQ(pinned(), 0U);
  device->go_on();
  statistics_.offer({{kNumbers, 10}});
  statistics_.notify();
  EXPECT_EQ(statistics_.wait_used(), (VirtioDriver::Used{1, 0}));
}

TEST_F(BalloonTest, ATargetIsAWishOfAtMostAllMemory) {
  auto [balloon, device] = make({.bytes = 4 * kPage});
  const auto config = [&device = device](std::uint64_t offset) {
    std::array<std::byte, 4> bytes{};
    device->read_config(offset, bytes);
    return std::to_integer<int>(bytes[0]) | std::to_integer<int>(bytes[1]) << 8;
  };
  EXPECT_EQ(config(0), 4);
  EXPECT_TRUE(balloon->set_target(kMemory));
  EXPECT_EQ(config(0), 32);
  EXPECT_EQ(host_.changes, 1);
  const auto refused = balloon->set_target(kMemory + 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), uvm::ErrorKind::Invalid);
  EXPECT_EQ(balloon->statistics().target, kMemory);
  const std::array<std::byte, 8> written{std::byte{9}, std::byte{9}, std::byte{9}, std::byte{9},
                                         std::byte{3}};
  device->write_config(0, written);
  EXPECT_EQ(config(0), 32) << "the target is not the driver's";
  EXPECT_EQ(balloon->statistics().actual, 3 * kPage);
  device->write_config(6, std::span(written).first(4));
  EXPECT_EQ(config(8), 0);
}

TEST_F(BalloonTest, AnIntervalChangesOnlyWhereThereIsOne) {
  const auto without = make();
  EXPECT_FALSE(without.balloon->set_interval(1));
  const auto with = make({.statistics_seconds = 5});
  EXPECT_FALSE(with.balloon->set_interval(0));
  EXPECT_TRUE(with.balloon->set_interval(7));
  EXPECT_EQ(with.balloon->interval(), 7U);
}

TEST_F(BalloonTest, AnotherGoesOnWhereTheFirstWas) {
  auto [balloon, device] = make({.bytes = 4 * kPage});
  device->start(activation(0, {inflate_.queue(), deflate_.queue()}));
  tell(inflate_, {20});
  ASSERT_TRUE(inflate_.wait_used());
  ASSERT_TRUE(balloon->set_target(9 * kPage));
  const std::array<std::byte, 4> one{std::byte{1}};
  device->write_config(4, one);
  device->rest();
  snapshot::SectionWriter writer;
  test::DeviceSection first(*device);
  snapshot::save(writer, first);
  const auto state = std::move(writer).finish();
  device.reset();

  auto [other, second] = make({.bytes = 4 * kPage});
  second->rest();
  second->place(activation(0, {inflate_.queue(), deflate_.queue()}));
  test::DeviceSection section(*second);
  const auto table = snapshot::SectionTable::read(state);
  ASSERT_TRUE(table);
  ASSERT_TRUE(snapshot::restore(*table, section));
  second->go_on();
  EXPECT_EQ(other->statistics().target, 9 * kPage);
  EXPECT_EQ(other->statistics().actual, kPage);
  tell(inflate_, {21});
  EXPECT_EQ(inflate_.wait_used(), (VirtioDriver::Used{1, 0}));
}

}  // namespace balloon_test
}  // namespace vmm::virtio::balloon
