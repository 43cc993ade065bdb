// The socket device between a driver that the test plays and programs on the host.
#include "vmm/virtio/vsock/socket_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <string>

#include "tests/support/eventually.h"
#include "tests/support/temp_folder.h"
#include "tests/support/virtio_driver.h"
#include "tests/support/virtio_space.h"
#include "vmm/devices/registers.h"
#include "vmm/snapshot/section_fields.h"

namespace vmm::virtio::vsock {
namespace socket_device_test {

using test::eventually;
using test::VirtioDriver;
using Part = VirtioDriver::Part;
using Used = VirtioDriver::Used;
constexpr auto kWriting = Part::For::Writing;
constexpr std::uint32_t kCid = 42;

/// RAM is 32 pages: three rings, then buffers.
class SocketDeviceTest : public test::VirtioSpace {
 protected:
  static constexpr std::uint64_t kReceived = 12 * kPage;
  static constexpr std::uint64_t kSent = 20 * kPage;
  static constexpr std::uint64_t kEvent = 30 * kPage;

  std::unique_ptr<LocalDevice> make() {
    auto listener = listen_at(path_);
    EXPECT_TRUE(listener) << listener.error().text();
    auto service = std::make_unique<SocketDevice>(SocketDevice::Setup{*space_, kCid, *std::move(listener)});
    service_ = service.get();
    return attached("vsock0", std::move(service));
  }
  void start() {
    device_ = make();
    device_->start(activation());
  }
  Activation activation() {
    return {kFeatureVersion1, {receive_.queue(), transmit_.queue(), events_.queue()}};
  }
  void offer_buffers(int count, std::uint32_t bytes = 2048) {
    for (int i = 0; i < count; ++i) {
      receive_.offer({{kReceived + static_cast<std::uint64_t>(i) % 14 * 2048, bytes, kWriting}});
    }
    receive_.notify();
  }
  /// The next packet, in buffer `buffer` of offer_buffers(); with its data.
  Header received(std::uint64_t buffer, std::string* data = nullptr) {
    const auto used = receive_.wait_used();
    EXPECT_TRUE(used);
    if (!used) return {};
    const std::uint64_t at = kReceived + buffer * 2048;
    const auto header = receive_.get<Header>(at);
    EXPECT_EQ(used->written, sizeof(Header) + header.bytes);
    if (data != nullptr) *data = receive_.get_bytes(at + sizeof(Header), header.bytes);
    return header;
  }
  void send(Operation operation, Ports ports, const std::string& data = {}) {
    Header header;
    header.source_cid = kCid;
    header.destination_cid = kHostCid;
    header.source_port = ports.guest;
    header.destination_port = ports.host;
    header.operation = static_cast<std::uint16_t>(operation);
    header.bytes = static_cast<std::uint32_t>(data.size());
    header.buffer = 65536;
    std::string text(sizeof header, '\0');
    std::memcpy(text.data(), &header, sizeof header);
    transmit_.put_bytes(kSent, text + data);
    // Split where nobody expects it.
    transmit_.offer({{kSent, 10}, {kSent + 10, static_cast<std::uint32_t>(text.size() + data.size() - 10)}});
    transmit_.notify();
  }
  static Operation operation_of(const Header& header) { return static_cast<Operation>(header.operation); }
  static std::string read(const Fd& socket) {
    pollfd ready{socket.get(), POLLIN, 0};
    ::poll(&ready, 1, 60'000);
    std::string text(4096, '\0');
    const ssize_t got = ::recv(socket.get(), text.data(), text.size(), 0);
    text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return text;
  }
  static void write(const Fd& socket, const std::string& text) {
    EXPECT_EQ(::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  Fd dial() {
    auto socket = connect_to(path_);
    EXPECT_TRUE(socket) << socket.error().text();
    return *std::move(socket);
  }
  /// A connection to port 52, which uses the first buffer.
  Ports connected(const Fd& program) {
    write(program, "CONNECT 52\n");
    const Header request = received(0);
    EXPECT_EQ(operation_of(request), Operation::Request);
    const Ports ports{request.source_port, request.destination_port};
    send(Operation::Response, ports);
    EXPECT_TRUE(transmit_.wait_used());
    EXPECT_EQ(read(program), "OK " + std::to_string(ports.host) + "\n");
    return ports;
  }

  test::TempFolder folder_{"vsock"};
  const std::string path_ = folder_.file("v");
  VirtioDriver receive_{*space_, kPage, 16, SocketDevice::kReceive};
  VirtioDriver transmit_{*space_, 4 * kPage, 256, SocketDevice::kTransmit};
  VirtioDriver events_{*space_, 7 * kPage, 4, SocketDevice::kEvents};
  SocketDevice* service_ = nullptr;
  std::unique_ptr<LocalDevice> device_;
};

TEST_F(SocketDeviceTest, ShowsTheGuestsAddress) {
  device_ = make();
  EXPECT_EQ(device_->type(), DeviceType::Socket);
  std::array<std::byte, 12> config{};
  device_->read_config(0, config);
  EXPECT_EQ(devices::load_le(config), kCid);
  EXPECT_EQ(config[8], std::byte{0});
}

TEST_F(SocketDeviceTest, BytesGoBothWays) {
  start();
  offer_buffers(8);
  const Fd program = dial();
  const Ports ports = connected(program);
  write(program, "hello");
  std::string data;
  EXPECT_EQ(operation_of(received(1, &data)), Operation::Data);
  EXPECT_EQ(data, "hello");
  send(Operation::Data, ports, "world");
  EXPECT_EQ(transmit_.wait_used(), (Used{2, 0}));
  EXPECT_EQ(read(program), "world");
  EXPECT_EQ(service_->counters().sent_bytes, 5U);
  EXPECT_EQ(service_->counters().received_bytes, 5U);
  EXPECT_EQ(service_->counters().sent_packets, 2U);
}

TEST_F(SocketDeviceTest, DataWaitsForBuffers) {
  start();
  offer_buffers(1);
  const Fd program = dial();
  connected(program);
  write(program, std::string(3000, 'x'));
  EXPECT_FALSE(receive_.used());
  offer_buffers(2);
  std::string first;
  std::string second;
  received(0, &first);
  received(1, &second);
  EXPECT_EQ(first.size(), 2048 - sizeof(Header));
  EXPECT_EQ(first + second, std::string(3000, 'x'));
}

TEST_F(SocketDeviceTest, PacketsThatAreNoneAreDroppedAndCounted) {
  start();
  offer_buffers(4);
  transmit_.offer({{kSent, 43}});
  transmit_.offer({{kSent, 100, kWriting}});
  transmit_.offer({{kSent, 44}});  // of zeros: from nobody
  transmit_.notify();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(transmit_.wait_used());
  EXPECT_EQ(service_->counters().sent_drops, 3U);
  send(Operation::Data, {1, 2});
  EXPECT_EQ(operation_of(received(0)), Operation::Reset) << "and the device goes on";
  EXPECT_EQ(host_.failures, 0);
}

TEST_F(SocketDeviceTest, ABufferWithoutRoomForAHeaderNeedsAReset) {
  start();
  offer_buffers(1, 43);
  EXPECT_TRUE(eventually([&] { return host_.failures == 1; }));
  EXPECT_EQ(pinned(), 0U);
}

TEST_F(SocketDeviceTest, AGuestThatTakesNoAnswersIsNotListenedTo) {
  start();
  for (int i = 0; i < 250; ++i) send(Operation::Data, {1, 2});
  for (int i = 0; i < 250; ++i) ASSERT_TRUE(transmit_.wait_used());
  for (int i = 0; i < 20; ++i) send(Operation::Data, {1, 2});
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(transmit_.wait_used()) << i;
  EXPECT_FALSE(transmit_.used()) << "256 answers are owed";
  for (int turn = 0; turn < 27; ++turn) {
    offer_buffers(10);
    for (std::uint64_t i = 0; i < 10; ++i) ASSERT_EQ(operation_of(received(i)), Operation::Reset);
  }
  for (int i = 0; i < 14; ++i) EXPECT_TRUE(transmit_.wait_used()) << i;
}

TEST_F(SocketDeviceTest, ConnectionsSurviveARest) {
  start();
  offer_buffers(8);
  const Fd program = dial();
  connected(program);
  device_->rest();
  EXPECT_EQ(pinned(), 0U);
  write(program, "meanwhile");
  device_->go_on();
  std::string data;
  received(1, &data);
  EXPECT_EQ(data, "meanwhile");
}

TEST_F(SocketDeviceTest, ACopyHasNoConnectionsAndIsTold) {
  start();
  offer_buffers(8);
  const Fd program = dial();
  connected(program);
  device_->rest();
  snapshot::SectionWriter writer;
  test::DeviceSection section(*device_);
  snapshot::save(writer, section);
  const auto state = std::move(writer).finish();
  const auto table = snapshot::SectionTable::read(state);
  ASSERT_TRUE(table);
  // The same machine goes back to where it was.
  device_->place(activation());
  ASSERT_TRUE(snapshot::restore(*table, section));
  events_.put<std::uint32_t>(kEvent, 0xffffffff);
  device_->go_on();
  EXPECT_EQ(read(program), "") << "the end";
  events_.offer({{kEvent, 8, kWriting}});
  events_.notify();
  EXPECT_EQ(events_.wait_used(), (Used{0, 4}));
  EXPECT_EQ(events_.get<std::uint32_t>(kEvent), Event::kTransportReset);
}

TEST_F(SocketDeviceTest, AResetByTheDriverEndsAllConnections) {
  start();
  offer_buffers(8);
  const Fd program = dial();
  connected(program);
  device_->stop();
  EXPECT_TRUE(eventually([&] { return host_.stops == 1; }));
  EXPECT_EQ(read(program), "");
  const Fd early = dial();
  write(early, "CONNECT 53\n");
  device_->start(activation());
  // Rings begin anew where the driver starts again; here they go on from the first entries.
  EXPECT_TRUE(eventually([&] { return host_.failures == 0; }));
}

}  // namespace socket_device_test
}  // namespace vmm::virtio::vsock
