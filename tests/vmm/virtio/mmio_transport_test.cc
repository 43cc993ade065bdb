// The registers of a virtio device without PCI: what a driver finds, agrees on and starts; what it can do
// wrong.
#include "vmm/virtio/mmio_transport.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <random>
#include <thread>
#include <vector>

#include "tests/support/eventually.h"
#include "tests/support/fake_virtio_device.h"
#include "tests/vmm/devices/fakes.h"
#include "tests/vmm/pins/pin_space.h"
#include "vmm/snapshot/section_fields.h"
#include "vmm/virtio/local_device.h"
#include "vmm/virtio/rng/rng.h"

namespace vmm::virtio {
namespace mmio_transport_test {

using test::eventually;
using test::FakeDevice;

constexpr std::uint64_t kRam = 0x10'0000;

bool is_ram(std::uint64_t gpa, std::uint64_t bytes) {
  return gpa < kRam && bytes <= kRam - gpa;
}

std::uint64_t get(MmioTransport& transport, std::uint64_t offset, std::size_t size = 4) {
  std::vector<std::byte> data(size);
  transport.read(offset, data);
  return devices::load_le(data);
}
void set(MmioTransport& transport, std::uint64_t offset, std::uint64_t value, std::size_t size = 4) {
  std::vector<std::byte> data(size);
  devices::store_le(data, value);
  transport.write(offset, data);
}
/// As a driver does, with one queue, whose rings begin at `rings`.
void start(MmioTransport& transport, unsigned queue, std::uint64_t rings = 0x4000) {
  set(transport, 0x70, 1);
  set(transport, 0x70, 3);
  set(transport, 0x24, 1);
  set(transport, 0x20, 1);
  set(transport, 0x70, 11);
  set(transport, 0x30, queue);
  set(transport, 0x38, 16);
  set(transport, 0x80, rings);
  set(transport, 0x90, rings + 0x1000);
  set(transport, 0xa0, rings + 0x2000);
  set(transport, 0x44, 1);
  set(transport, 0x70, 15);
}

class MmioTransportTest : public testing::Test {
 protected:
  MmioTransportTest() {
    auto made = MmioTransport::create("disk", {line, io, is_ram}, std::make_unique<FakeDevice>(log));
    EXPECT_TRUE(made);
    transport = *std::move(made);
  }
  std::uint64_t get(std::uint64_t offset, std::size_t size = 4) {
    return mmio_transport_test::get(*transport, offset, size);
  }
  void set(std::uint64_t offset, std::uint64_t value, std::size_t size = 4) {
    mmio_transport_test::set(*transport, offset, value, size);
  }
  void hear() {
    io.restart();
    io.poll();
  }

  boost::asio::io_context io;
  devices::test::FakeLine line;
  FakeDevice::Log log;
  std::unique_ptr<MmioTransport> transport;
};

TEST_F(MmioTransportTest, ADriverFindsWhatItIs) {
  EXPECT_EQ(get(0x00), 0x74726976U);
  EXPECT_EQ(get(0x04), 2U);
  EXPECT_EQ(get(0x08), 2U) << "a disk";
  EXPECT_EQ(get(0x10), kFeatureIndirect);
  set(0x14, 1);
  EXPECT_EQ(get(0x10), 1U) << "the upper half: VERSION_1";
  set(0x14, 2);
  EXPECT_EQ(get(0x10), 0U);
  EXPECT_EQ(get(0x34), 128U);
  set(0x30, 2);
  EXPECT_EQ(get(0x34), 0U) << "no such queue";
  EXPECT_EQ(get(0xb0), 0xffff'ffffU) << "no shared memory";
  EXPECT_EQ(get(0x100, 1), 0x10U);
  EXPECT_EQ(get(0x102, 2), 0x1312U);
}

TEST_F(MmioTransportTest, ADriverStartsItsQueues) {
  start(*transport, 1);
  ASSERT_EQ(log.started.size(), 1U);
  const Activation& started = log.started.front();
  EXPECT_EQ(started.features, kFeatureVersion1);
  ASSERT_EQ(started.queues.size(), 1U);
  EXPECT_EQ(started.queues[0].index, 1U);
  EXPECT_EQ(started.queues[0].size, 16U);
  EXPECT_EQ(started.queues[0].descriptors, 0x4000U);
  EXPECT_EQ(started.queues[0].device_area, 0x6000U);
  EXPECT_EQ(get(0x44), 1U);
  set(0x50, 1);
  eventfd_t kicks = 0;
  EXPECT_EQ(::eventfd_read(started.queues[0].kick->get(), &kicks), 0);
  set(0x50, 2);
  set(0x50, 0xffff'ffff);
  EXPECT_NE(::eventfd_read(started.queues[0].kick->get(), &kicks), 0) << "queues that are not there";
}

TEST_F(MmioTransportTest, AnInterruptSaysWhatItIsForUntilItIsAcknowledged) {
  start(*transport, 0);
  ::eventfd_write(log.started[0].queues[0].call->get(), 1);
  hear();
  EXPECT_TRUE(line.up());
  EXPECT_EQ(get(0x60), 1U);
  log.host->config_changed();
  EXPECT_EQ(get(0x60), 3U);
  EXPECT_EQ(get(0xfc), 1U) << "generation";
  set(0x64, 1);
  EXPECT_TRUE(line.up());
  set(0x64, 2);
  EXPECT_FALSE(line.up());
  EXPECT_EQ(get(0x60), 0U);
  ::eventfd_write(log.started[0].queues[0].call->get(), 1);
  hear();
  EXPECT_EQ(line.edges, 2);
}

TEST_F(MmioTransportTest, RingsThatAreNoMemoryAreNotStarted) {
  for (const std::uint64_t rings : {std::uint64_t{kRam}, std::uint64_t{0x4008}, ~std::uint64_t{0xfff}}) {
    set(0x70, 0);
    start(*transport, 0, rings);
    EXPECT_TRUE(log.started.empty()) << rings;
    EXPECT_EQ(get(0x70) & status::kNeedsReset, status::kNeedsReset);
    EXPECT_EQ(get(0x60), 2U);
  }
  set(0x70, 0);
  EXPECT_EQ(get(0x70), 0U);
  EXPECT_FALSE(line.up());
}

TEST_F(MmioTransportTest, AResetWaitsForTheDevice) {
  start(*transport, 0);
  std::thread device([&] {
    EXPECT_TRUE(eventually([&] { return log.stops == 1; }));
    log.host->stopped();
  });
  set(0x70, 0);
  EXPECT_EQ(get(0x70), 0U);
  set(0x70, 1);
  EXPECT_EQ(get(0x70), 1U) << "what a driver writes next is not lost";
  EXPECT_EQ(get(0x44), 0U);
  device.join();
}

TEST_F(MmioTransportTest, OnlyWordsAreRegisters) {
  EXPECT_EQ(get(0x00, 1), 0U);
  EXPECT_EQ(get(0x00, 8), 0U);
  EXPECT_EQ(get(0x02), 0U);
  set(0x70, 1, 1);
  set(0x70, 1, 2);
  set(0x71, 1, 4);
  EXPECT_EQ(get(0x70), 0U);
  set(0x70, 0x101);
  EXPECT_EQ(get(0x70), 0U) << "more than a status has";
  set(0x30, 0x1'0000);
  EXPECT_EQ(get(0x34), 128U) << "still queue 0";
  set(0x00, 7);
  EXPECT_EQ(get(0x00), 0x74726976U);
}

TEST_F(MmioTransportTest, WhateverIsWrittenItAnswers) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 100'000; ++i) {
    const std::size_t size = std::size_t{1} << random() % 4;
    const std::uint64_t offset = random() % 3 == 0 ? random() % 0x1000 : random() % 0x40 * 4;
    if (offset + size > MmioTransport::kBytes) continue;
    if (random() % 2 == 0) {
      static_cast<void>(get(offset, size));
    } else if (log.started.empty()) {
      set(offset, random() % 2 == 0 ? random() % 20 : random(), size);
    }
  }
}

/// At rest it is data, and another goes on from there.
class MmioCopyTest : public test::PinSpace {
 protected:
  std::unique_ptr<MmioTransport> make() {
    const auto ram = [](std::uint64_t gpa, std::uint64_t bytes) {
      return gpa < kRamPages * kPage && bytes <= kRamPages * kPage - gpa;
    };
    LocalDevice::Surroundings around{*space_, uvm::PinOwner::create("rng0"), ram};
    auto device = std::make_unique<LocalDevice>("rng0", around, std::make_unique<rng::Rng>(*space_));
    auto made = MmioTransport::create("rng0", {line_, io_, ram}, std::move(device));
    EXPECT_TRUE(made);
    return *std::move(made);
  }
  boost::asio::io_context io_;
  devices::test::FakeLine line_;
};

TEST_F(MmioCopyTest, AnotherGoesOnWhereTheFirstWas) {
  auto first = make();
  start(*first, 0, 0x4000);
  first->rest();
  snapshot::SectionWriter writer;
  snapshot::save(writer, *first->stateful());
  const auto state = std::move(writer).finish();
  first.reset();

  const auto second = make();
  second->rest();
  const auto table = snapshot::SectionTable::read(state);
  ASSERT_TRUE(table);
  ASSERT_TRUE(snapshot::restore(*table, *second->stateful()));
  second->go_on();
  EXPECT_EQ(mmio_transport_test::get(*second, 0x70), 15U);
  EXPECT_EQ(mmio_transport_test::get(*second, 0x44), 1U);
  // A request, as the driver of the first would make it.
  const auto put = [&](std::uint64_t gpa, auto value) {
    ASSERT_TRUE(uvm::Access::write_value(*space_, uvm::Gpa(gpa), value));
  };
  put(0x4000, std::uint64_t{0x8000});
  put(0x4008, std::uint32_t{16});
  put(0x400c, std::uint16_t{2});
  put(0x5002, std::uint16_t{1});
  set(*second, 0x50, 0);
  EXPECT_TRUE(eventually(
      [&] { return uvm::Access::read_value<std::uint16_t>(*space_, uvm::Gpa(0x6002)).value() == 1; }));
  EXPECT_TRUE(eventually([&] {
    io_.restart();
    io_.poll();
    return line_.up();
  }));
}

}  // namespace mmio_transport_test
}  // namespace vmm::virtio
