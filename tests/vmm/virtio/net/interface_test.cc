// A network interface between a driver that the test plays and a link whose other end is the test's.
#include "vmm/virtio/net/interface.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/eventually.h"
#include "tests/support/fake_link.h"
#include "tests/support/virtio_driver.h"
#include "tests/support/virtio_space.h"
#include "vmm/devices/registers.h"
#include "vmm/snapshot/section_fields.h"
#include "vmm/virtio/net/tap.h"

namespace vmm::virtio::net {
namespace interface_test {

using test::eventually;
using test::FakeLink;
using test::VirtioDriver;
using Part = VirtioDriver::Part;
using Used = VirtioDriver::Used;
constexpr auto kWriting = Part::For::Writing;

constexpr MacAddress kMac{2, 0, 0x5e, 1, 2, 3};
constexpr std::uint64_t kMerging = kFeatureVersion1 | feature::kMergeableBuffers;

/// RAM is 32 pages: the rings are in the first ones, buffers from page 8 on; from page 16 on it is private.
class NetInterface : public test::VirtioSpace {
 protected:
  static constexpr std::uint64_t kBuffers = 8 * kPage;
  enum class Cable : bool { Out, In };

  std::unique_ptr<LocalDevice> make(Cable cable = Cable::In, const MacAddress& mac = kMac) {
    auto link = cable == Cable::In ? std::make_unique<FakeLink>(wire_) : nullptr;
    auto service =
        std::make_unique<Interface>(Interface::Setup{"net0", mac, *space_, std::move(link), Tap::kKind});
    interface_ = service.get();
    return attached("net0", std::move(service));
  }
  void start(std::uint64_t features = kMerging) {
    device_ = make();
    device_->start(activation(features));
  }
  Activation activation(std::uint64_t features = kMerging) {
    return {features, {receive_.queue(), transmit_.queue()}};
  }

  static std::string frame(std::size_t bytes) {
    std::string text(bytes, '\0');
    for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
    return text;
  }
  void put_packet(std::uint64_t gpa, std::string_view bytes, const Header& header = {}) {
    std::string text(sizeof header, '\0');
    std::memcpy(text.data(), &header, sizeof header);
    transmit_.put_bytes(gpa, text + std::string(bytes));
  }
  /// Makes a frame available; no notification.
  void offer(std::string_view bytes, const Header& header = {}) {
    put_packet(kBuffers, bytes, header);
    transmit_.offer({{kBuffers, static_cast<std::uint32_t>(sizeof header + bytes.size())}});
  }
  std::optional<FakeLink::Frame> sent() {
    std::optional<FakeLink::Frame> frame;
    EXPECT_TRUE(eventually([&] { return (frame = wire_.take()).has_value(); }));
    return frame;
  }
  Header header_at(std::uint64_t gpa) { return receive_.get<Header>(gpa); }
  std::uint16_t status() {
    std::array<std::byte, 2> data{};
    device_->read_config(6, data);
    return static_cast<std::uint16_t>(devices::load_le(data));
  }

  FakeLink::Wire wire_;
  VirtioDriver receive_{*space_, kPage, 16, Interface::kReceive};
  VirtioDriver transmit_{*space_, 4 * kPage, 256, Interface::kTransmit};
  Interface* interface_ = nullptr;
  std::unique_ptr<LocalDevice> device_;
};

TEST_F(NetInterface, ShowsItsAddressAndItsLink) {
  device_ = make();
  EXPECT_EQ(device_->type(), DeviceType::Network);
  std::array<std::byte, 16> config{};
  device_->read_config(0, config);
  EXPECT_EQ(std::memcmp(config.data(), kMac.data(), kMac.size()), 0);
  EXPECT_EQ(devices::load_le(std::span(config).subspan(6, 2)), 1U) << "the link is up";
  EXPECT_EQ(devices::load_le(std::span(config).subspan(8, 2)), 1U) << "one pair of queues";
  EXPECT_EQ(config[15], std::byte{0});
  EXPECT_EQ(device_->features() & feature::kMtu, 0U);
}

// ---- from the guest

TEST_F(NetInterface, AFrameGoesOutFromWhereItLies) {
  start();
  const std::string bytes = frame(1514);
  Header header;
  header.flags = Header::kDataValid;
  header.buffers = 77;
  put_packet(kBuffers, bytes, header);
  transmit_.offer({{kBuffers, 5}, {kBuffers + 5, 7 + 100}, {kBuffers + 112, 1414}});
  transmit_.notify();
  EXPECT_EQ(transmit_.wait_used(), (Used{0, 0}));
  header.buffers = 0;
  EXPECT_EQ(sent(), (FakeLink::Frame{header, bytes}));
  EXPECT_EQ(interface_->counters().sent_frames, 1U);
  EXPECT_EQ(interface_->counters().sent_bytes, bytes.size());
  EXPECT_EQ(wire_.agreed, kMerging);
}

TEST_F(NetInterface, WrongFramesAreDroppedAndCounted) {
  start(kMerging | feature::kCsum | feature::kHostTso4);
  Header behind;
  behind.flags = Header::kNeedsChecksum;
  behind.checksum_start = 59;
  Header huge = behind;
  huge.checksum_start = huge.checksum_offset = 0xffff;
  Header no_size;
  no_size.flags = Header::kNeedsChecksum;
  no_size.segmentation = Header::kTcp4;
  Header unknown = no_size;
  unknown.segment_bytes = 100;
  unknown.segmentation = 9;
  Header not_agreed = unknown;
  not_agreed.segmentation = Header::kTcp6;
  std::uint64_t wrong = 0;
  for (const Header& header : {behind, huge, no_size, unknown, not_agreed}) {
    offer(frame(60), header);
    transmit_.notify();
    ASSERT_TRUE(transmit_.wait_used());
    ++wrong;
  }
  // Too short for a header, for an Ethernet header, none at all; and longer than any frame.
  for (const std::uint32_t bytes : {11U, 12U, 25U}) {
    transmit_.offer({{kBuffers, bytes}});
    ++wrong;
  }
  transmit_.offer({{kBuffers, 10 * kPage, kWriting}});
  transmit_.offer({{kBuffers, 16 * kPage}, {kBuffers, 16 * kPage}});
  wrong += 2;
  transmit_.notify();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(transmit_.wait_used());
  EXPECT_EQ(interface_->counters().sent_drops, wrong);
  EXPECT_EQ(interface_->counters().sent_frames, 0U);
  EXPECT_FALSE(wire_.take());
  offer(frame(60));
  transmit_.notify();
  EXPECT_EQ(sent(), (FakeLink::Frame{{}, frame(60)})) << "and the device goes on";
  EXPECT_EQ(host_.failures, 0);
}

TEST_F(NetInterface, ABusyLinkKeepsFramesInTheRing) {
  start();
  // Until the wire takes no more; each is given back when it has gone.
  std::size_t offered = 0;
  for (; wire_.stalls == 0; ++offered) {
    const std::string bytes = frame(20'000) + std::to_string(offered);
    put_packet(kBuffers, bytes);
    transmit_.offer({{kBuffers, 12 + static_cast<std::uint32_t>(bytes.size())}});
    transmit_.notify();
    ASSERT_TRUE(eventually([&] { return transmit_.used() || wire_.stalls != 0; }));
    ASSERT_LT(offered, 200U);
  }
  EXPECT_EQ(interface_->counters().sent_drops, 0U);
  for (std::size_t i = 0; i < offered; ++i) {
    const auto next = sent();
    ASSERT_TRUE(next);
    EXPECT_EQ(next->bytes, frame(20'000) + std::to_string(i));
  }
  EXPECT_TRUE(transmit_.wait_used());
  EXPECT_EQ(interface_->counters().sent_frames, offered);
}

TEST_F(NetInterface, WhatALinkRefusesIsCounted) {
  start();
  wire_.refuses = true;
  offer(frame(60));
  transmit_.notify();
  ASSERT_TRUE(transmit_.wait_used());
  EXPECT_EQ(interface_->counters().sent_drops, 1U);
}

TEST_F(NetInterface, MoreThanATurnsFramesAllGo) {
  start();
  for (int i = 0; i < 200; ++i) offer(frame(60));
  transmit_.notify();
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(transmit_.wait_used()) << i;
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(sent());
}

// ---- to the guest

TEST_F(NetInterface, AFrameComesIntoOneBuffer) {
  start();
  receive_.offer({{kBuffers, 2048, kWriting}});
  receive_.notify();
  Header header;
  header.flags = Header::kNeedsChecksum;
  header.checksum_start = 34;
  wire_.put(frame(1000), header);
  EXPECT_EQ(receive_.wait_used(), (Used{0, 1012}));
  header.buffers = 1;
  EXPECT_EQ(header_at(kBuffers), header);
  EXPECT_EQ(receive_.get_bytes(kBuffers + 12, 1000), frame(1000));
  EXPECT_GE(receive_.interrupts(), 1U);
  EXPECT_EQ(interface_->counters().received_frames, 1U);
  EXPECT_EQ(interface_->counters().received_bytes, 1000U);
}

TEST_F(NetInterface, ALongFrameFillsAsManyBuffersAsItNeeds) {
  start();
  for (std::uint64_t i = 0; i < 8; ++i) receive_.offer({{kBuffers + i * kPage, 1000, kWriting}});
  receive_.notify();
  for (int turn = 0; turn < 2; ++turn) {
    // The second time it is expected to be so long, and comes without a copy.
    wire_.put(frame(3500));
    const std::uint64_t first = kBuffers + (turn == 0 ? 0 : 4 * kPage);
    std::string bytes;
    for (std::uint64_t i = 0; i < 4; ++i) {
      const auto used = receive_.wait_used();
      ASSERT_TRUE(used);
      EXPECT_EQ(used->written, i < 3 ? 1000U : 512U);
      bytes += receive_.get_bytes(first + i * kPage, used->written);
    }
    EXPECT_EQ(header_at(first).buffers, 4);
    EXPECT_EQ(bytes.substr(12), frame(3500));
  }
}

TEST_F(NetInterface, BuffersOfManyPartsAndOddLengths) {
  start();
  receive_.offer({{kBuffers, 5, kWriting}, {kBuffers + 5, 3, kWriting}, {kBuffers + 100, 500, kWriting}});
  receive_.notify();
  wire_.put(frame(400));
  EXPECT_EQ(receive_.wait_used(), (Used{0, 412}));
  EXPECT_EQ(receive_.get_bytes(kBuffers + 104, 400), frame(400));
}

TEST_F(NetInterface, AFrameWithTooFewBuffersIsHeldUntilThereAreMore) {
  start();
  receive_.offer({{kBuffers, 1000, kWriting}});
  receive_.notify();
  wire_.put(frame(1500));
  wire_.put(frame(100));
  ASSERT_TRUE(eventually([&] { return wire_.received == 1; }));
  device_->rest();  // it has done what it can
  device_->go_on();
  EXPECT_FALSE(receive_.used());
  receive_.offer({{kBuffers + kPage, 1000, kWriting}});
  receive_.offer({{kBuffers + 2 * kPage, 1000, kWriting}});
  receive_.notify();
  EXPECT_EQ(receive_.wait_used(), (Used{0, 1000}));
  EXPECT_EQ(receive_.wait_used(), (Used{1, 512}));
  EXPECT_EQ(receive_.wait_used(), (Used{2, 112}));
  EXPECT_EQ(receive_.get_bytes(kBuffers + 12, 988) + receive_.get_bytes(kBuffers + kPage, 512), frame(1500));
  EXPECT_EQ(interface_->counters().received_drops, 0U);
}

TEST_F(NetInterface, AFrameThatTheRingCanNeverHoldIsDroppedAndCounted) {
  start();
  for (std::uint64_t i = 0; i < 16; ++i) receive_.offer({{kBuffers + i * kPage / 2, 100, kWriting}});
  receive_.notify();
  wire_.put(frame(5000));
  wire_.put(frame(50));
  EXPECT_EQ(receive_.wait_used(), (Used{0, 62}));
  EXPECT_EQ(interface_->counters().received_drops, 1U);
}

TEST_F(NetInterface, WithoutMergingALongFrameIsDroppedAndCounted) {
  start(kFeatureVersion1);
  receive_.offer({{kBuffers, 1526, kWriting}});
  receive_.offer({{kBuffers + kPage, 1526, kWriting}});
  receive_.notify();
  wire_.put(frame(1515));
  wire_.put(frame(1514));
  EXPECT_EQ(receive_.wait_used(), (Used{0, 1526}));
  EXPECT_EQ(header_at(kBuffers).buffers, 1);
  EXPECT_EQ(interface_->counters().received_drops, 1U);
}

TEST_F(NetInterface, FramesWaitForBuffers) {
  start();
  for (int i = 0; i < 5; ++i) wire_.put(frame(60) + std::to_string(i));
  receive_.notify();
  for (int i = 0; i < 5; ++i) {
    receive_.offer({{kBuffers, 200, kWriting}});
    receive_.notify();
    ASSERT_TRUE(receive_.wait_used());
    EXPECT_EQ(receive_.get_bytes(kBuffers + 12, 61), frame(60) + std::to_string(i));
  }
  EXPECT_EQ(interface_->counters().received_drops, 0U);
}

TEST_F(NetInterface, ABufferWithoutRoomForAHeaderNeedsAReset) {
  start();
  receive_.offer({{kBuffers, 11, kWriting}});
  receive_.notify();
  EXPECT_TRUE(eventually([&] { return host_.failures == 1; }));
  EXPECT_EQ(pinned(), 0U);
}

TEST_F(NetInterface, ARingFoundBrokenWhenAFrameComesNeedsAResetToo) {
  start();
  receive_.offer({{kBuffers, 200, kWriting}});
  receive_.notify();
  wire_.put(frame(60));
  ASSERT_TRUE(receive_.wait_used());
  receive_.offer({{1000 * kPage, 200, kWriting}});
  wire_.put(frame(60));
  receive_.notify();
  EXPECT_TRUE(eventually([&] { return host_.failures == 1; }));
  device_->stop();
  EXPECT_TRUE(eventually([&] { return host_.stops == 1; }));
}

// ---- its link and its life

TEST_F(NetInterface, ALinkThatEndsIsDownAndTheGuestGoesOn) {
  start();
  receive_.offer({{kBuffers, 200, kWriting}});
  receive_.notify();
  EXPECT_EQ(status(), 1);
  wire_.cut();
  EXPECT_TRUE(eventually([&] { return host_.changes == 1; }));
  EXPECT_EQ(status(), 0);
  offer(frame(60));
  transmit_.notify();
  EXPECT_TRUE(transmit_.wait_used());
  EXPECT_EQ(interface_->counters().sent_drops, 1U);
  EXPECT_EQ(host_.failures, 0);
  EXPECT_EQ(host_.changes, 1) << "once";
}

TEST_F(NetInterface, AtRestFramesWait) {
  start();
  receive_.offer({{kBuffers, 200, kWriting}});
  receive_.offer({{kBuffers + kPage, 200, kWriting}});
  receive_.notify();
  wire_.put(frame(60));
  ASSERT_TRUE(receive_.wait_used());
  device_->rest();
  EXPECT_EQ(pinned(), 0U);
  wire_.put(frame(61));
  offer(frame(62));
  transmit_.notify();
  EXPECT_FALSE(receive_.used());
  EXPECT_FALSE(wire_.take());
  device_->go_on();
  EXPECT_EQ(receive_.wait_used(), (Used{1, 73}));
  EXPECT_TRUE(sent());
}

TEST_F(NetInterface, ACopyHasTheSameAddressAndLearnsThatItsCableIsOut) {
  start();
  receive_.offer({{kBuffers, 200, kWriting}});
  receive_.notify();
  wire_.put(frame(60));
  ASSERT_TRUE(receive_.wait_used());
  device_->rest();
  snapshot::SectionWriter writer;
  test::DeviceSection section(*device_);
  snapshot::save(writer, section);
  const auto state = std::move(writer).finish();
  device_.reset();
  host_.changes = 0;

  device_ = make(Cable::Out, MacAddress{2, 9, 9, 9, 9, 9});
  device_->rest();
  device_->place(activation());
  test::DeviceSection other(*device_);
  const auto table = snapshot::SectionTable::read(state);
  ASSERT_TRUE(table);
  ASSERT_TRUE(snapshot::restore(*table, other));
  device_->go_on();
  EXPECT_TRUE(eventually([&] { return host_.changes == 1; }));
  EXPECT_EQ(status(), 0);
  std::array<std::byte, 6> mac{};
  device_->read_config(0, mac);
  EXPECT_EQ(std::memcmp(mac.data(), kMac.data(), mac.size()), 0);
}

TEST(MadeAddresses, AreForOneStationAndDiffer) {
  const MacAddress one = make_mac("uvmm/net0/tap0");
  EXPECT_EQ(one[0] & 3U, 2U);
  EXPECT_EQ(one, make_mac("uvmm/net0/tap0"));
  EXPECT_NE(one, make_mac("uvmm/net0/tap1"));
}

}  // namespace interface_test
}  // namespace vmm::virtio::net
