#include "vmm/virtio/common_config.h"

#include <gtest/gtest.h>

#include <bit>
#include <random>
#include <vector>

#include "vmm/devices/registers.h"
#include "vmm/virtio/device.h"

namespace vmm::virtio {
namespace common_config_test {

using Request = CommonConfig::Request;

constexpr std::uint64_t kFeatures = kFeatureVersion1 | kFeatureEventIndex | 0x40;

struct CommonConfigTest : testing::Test {
  std::uint64_t get(std::uint64_t offset, std::size_t size) {
    std::vector<std::byte> data(size);
    config.read(offset, data);
    return devices::load_le(data);
  }
  Request set(std::uint64_t offset, std::uint64_t value, std::size_t size) {
    std::vector<std::byte> data(size);
    devices::store_le(data, value);
    return config.write(offset, data);
  }
  void accept(std::uint64_t features) {
    for (std::uint32_t half = 0; half < 2; ++half) {
      set(8, half, 4);
      set(12, features >> (32 * half), 4);
    }
  }
  Request set_status(std::uint8_t value) { return set(20, value, 1); }

  CommonConfig config{{kFeatures, 2, 256, 3}};
};

TEST_F(CommonConfigTest, OffersItsFeaturesInHalves) {
  EXPECT_EQ(get(4, 4), kFeatures & 0xffff'ffff);
  set(0, 1, 4);
  EXPECT_EQ(get(4, 4), kFeatures >> 32);
  set(0, 2, 4);
  EXPECT_EQ(get(4, 4), 0U);
  set(4, ~0U, 4);
  EXPECT_EQ(get(18, 2), 2U) << "queues";
  EXPECT_EQ(get(CommonConfig::kBytes, 8), 0U) << "behind the end";
}

TEST_F(CommonConfigTest, StartsWhenDriverAndDeviceAgree) {
  EXPECT_EQ(set_status(1), Request::None);
  EXPECT_EQ(set_status(3), Request::None);
  accept(kFeatures);
  EXPECT_EQ(set_status(11), Request::None);
  EXPECT_EQ(config.status(), 11);
  EXPECT_EQ(set_status(15), Request::Start);
  EXPECT_EQ(config.features(), kFeatures);
  EXPECT_EQ(set_status(15), Request::None) << "once";
  accept(kFeatureVersion1);
  EXPECT_EQ(config.features(), kFeatures) << "it is too late to change them";
}

TEST_F(CommonConfigTest, RefusesFeaturesItHasNotAndDriversOfOld) {
  for (const std::uint64_t wrong : {kFeatures | 1, kFeatures & ~kFeatureVersion1, std::uint64_t{0}}) {
    set_status(3);
    accept(wrong);
    set_status(11);
    EXPECT_EQ(config.status(), 3) << wrong;
    EXPECT_EQ(set_status(15), Request::None);
    EXPECT_EQ(config.status(), 3) << "no short cut";
  }
  accept(kFeatureVersion1);
  set_status(11);
  EXPECT_EQ(config.status(), 11);
}

TEST_F(CommonConfigTest, AResetTakesAsLongAsTheDeviceTakes) {
  accept(kFeatures);
  set_status(15);
  EXPECT_EQ(set_status(0), Request::Reset);
  EXPECT_EQ(config.status(), 15) << "not done yet";
  EXPECT_EQ(set_status(0), Request::None);
  EXPECT_EQ(set_status(1), Request::None);
  config.complete_reset();
  EXPECT_EQ(config.status(), 0);
  EXPECT_EQ(config.features(), 0U);
  EXPECT_EQ(set_status(1), Request::None);
  EXPECT_EQ(config.status(), 1);
}

TEST_F(CommonConfigTest, TheDevicesBitIsNotTheDrivers) {
  set_status(0x43);
  EXPECT_EQ(config.status(), 3);
  config.set_needs_reset();
  EXPECT_EQ(config.status(), 0x43);
  set_status(3);
  EXPECT_EQ(config.status(), 0x43) << "only a reset takes it away";
  set_status(0x83);
  EXPECT_EQ(config.status(), 0xc3) << "the driver has failed too";
}

TEST_F(CommonConfigTest, QueuesTakeWhatFitsUntilTheyAreEnabled) {
  set(22, 1, 2);
  EXPECT_EQ(get(24, 2), 256U);
  set(24, 512, 2);
  set(24, 100, 2);
  set(24, 0, 2);
  EXPECT_EQ(get(24, 2), 256U) << "a power of two, and not more than the limit";
  set(24, 64, 2);
  set(32, 0x1000, 4);
  set(36, 0x1, 4);
  set(40, 0x2'0000'2000, 8);
  set(48, 0x3000, 8);
  set(26, 2, 2);
  EXPECT_EQ(get(26, 2), 2U);
  set(26, 3, 2);
  EXPECT_EQ(get(26, 2), CommonConfig::kNoVector) << "there are three";
  set(28, 1, 2);
  EXPECT_EQ(get(28, 2), 1U);
  set(28, 0, 2);
  set(24, 32, 2);
  set(32, 0, 8);
  const auto& queue = config.queues()[1];
  EXPECT_TRUE(queue.enabled);
  EXPECT_EQ(queue.size, 64);
  EXPECT_EQ(queue.descriptors, 0x1'0000'1000U);
  EXPECT_EQ(queue.driver_area, 0x2'0000'2000U);
  EXPECT_EQ(queue.device_area, 0x3000U);
  EXPECT_EQ(get(30, 2), 1U) << "its place among the notifications";
  EXPECT_FALSE(config.queues()[0].enabled);
}

TEST_F(CommonConfigTest, AQueueThatIsNotThereReadsAsZerosAndTakesNothing) {
  set(22, 2, 2);
  EXPECT_EQ(get(24, 2), 0U);
  set(24, 64, 2);
  set(28, 1, 2);
  EXPECT_EQ(get(28, 2), 0U);
  EXPECT_EQ(get(32, 8), 0U);
  for (const auto& queue : config.queues()) EXPECT_EQ(queue.size, 256);
}

TEST_F(CommonConfigTest, OnceStartedNoQueueIsAdded) {
  accept(kFeatures);
  set_status(15);
  set(28, 1, 2);
  EXPECT_FALSE(config.queues()[0].enabled);
}

TEST_F(CommonConfigTest, AnyAccessIsHarmless) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 200'000; ++i) {
    const std::size_t size = std::size_t{1} << random() % 4;
    const std::uint64_t offset = random() % 80;
    if (set(offset, random(), size) == Request::Reset) config.complete_reset();
    static_cast<void>(get(offset, size));
    for (const auto& queue : config.queues()) {
      ASSERT_LE(queue.size, 256);
      ASSERT_TRUE(std::has_single_bit(queue.size));
      ASSERT_TRUE(queue.vector < 3 || queue.vector == CommonConfig::kNoVector);
    }
  }
}

}  // namespace common_config_test
}  // namespace vmm::virtio
