#include "vmm/virtio/pci_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <map>
#include <random>
#include <vector>

#include "tests/support/fake_virtio_device.h"
#include "tests/vmm/devices/fakes.h"

namespace vmm::virtio {
namespace pci_transport_test {

namespace pci = devices::pci;
using test::FakeDevice;

class FakeDoorbells : public devices::Doorbells {
 public:
  class Bell : public devices::Doorbell {
   public:
    Bell(FakeDoorbells& all, std::uint64_t gpa) : all_(all), gpa_(gpa) {}
    ~Bell() override { all_.at.erase(gpa_); }

   private:
    FakeDoorbells& all_;
    std::uint64_t gpa_;
  };
  uvm::Result<std::unique_ptr<devices::Doorbell>> attach(std::uint64_t gpa, const Fd& event) override {
    if (refuse) return uvm::Error(uvm::ErrorKind::Unsupported, "refused by the test");
    at[gpa] = event.get();
    return std::unique_ptr<devices::Doorbell>(std::make_unique<Bell>(*this, gpa));
  }
  std::map<std::uint64_t, int> at;
  bool refuse = false;
};

class PciTransportTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kWindow = 0xc000'0000;
  static constexpr std::uint64_t kRam = 0x10'0000;

  PciTransportTest() {
    auto made = PciTransport::create(
        "disk",
        {window, sink, events, bells,
         [](std::uint64_t gpa, std::uint64_t bytes) { return gpa < kRam && bytes <= kRam - gpa; }},
        std::make_unique<FakeDevice>(log));
    EXPECT_TRUE(made);
    function = *std::move(made);
    for (std::uint64_t at = get(pci::kCapabilities, 1); at != 0; at = get(at + 1, 1)) {
      if (get(at, 1) == pci::kCapabilityVendor) capabilities[get(at + 3, 1)] = at;
      if (get(at, 1) == pci::kCapabilityMsix) msix = at;
    }
    set(pci::kCommand, pci::kCommandMemory, 2);
  }

  std::uint64_t get(std::uint64_t offset, std::size_t size) {
    std::vector<std::byte> data(size);
    function->read_config(offset, data);
    return devices::load_le(data);
  }
  void set(std::uint64_t offset, std::uint64_t value, std::size_t size) {
    std::vector<std::byte> data(size);
    devices::store_le(data, value);
    function->write_config(offset, data);
  }
  /// Offset in the BAR of a structure.
  std::uint64_t place(unsigned structure) { return get(capabilities.at(structure) + 8, 4); }
  std::uint64_t bar() { return get(pci::kFirstBar, 8) & ~std::uint64_t{0xf}; }
  std::uint64_t load(std::uint64_t offset, std::size_t size) {
    return devices::test::read(window, bar() - kWindow + offset, size);
  }
  void store(std::uint64_t offset, std::uint64_t value, std::size_t size) {
    devices::test::write(window, bar() - kWindow + offset, value, size);
  }
  std::uint64_t common(std::uint64_t offset, std::size_t size) { return load(place(1) + offset, size); }
  void set_common(std::uint64_t offset, std::uint64_t value, std::size_t size) {
    store(place(1) + offset, value, size);
  }

  /// As a driver does, with one queue, whose rings begin at `rings`.
  void start(std::uint64_t rings = 0x4000) {
    set_common(20, 1, 1);
    set_common(20, 3, 1);
    set_common(8, 1, 4);
    set_common(12, 1, 4);
    set_common(20, 11, 1);
    set_common(16, 2, 2);
    set_common(22, 1, 2);
    set_common(26, 1, 2);
    set_common(32, rings, 8);
    set_common(40, rings + 0x1000, 8);
    set_common(48, rings + 0x2000, 8);
    set_common(28, 1, 2);
    set_common(20, 15, 1);
  }
  void turn_msix_on() {
    set(msix + 2, 0x8000, 2);
    const std::uint64_t table = get(msix + 4, 4) & ~std::uint64_t{7};
    for (std::uint64_t vector = 0; vector < 3; ++vector) {
      store(table + 16 * vector, 0xfee0'0000, 8);
      store(table + 16 * vector + 8, 0x40 + vector, 8);
    }
  }
  static std::uint64_t taken(int event) {
    eventfd_t count = 0;
    return ::eventfd_read(event, &count) == 0 ? count : 0;
  }

  devices::PciWindow window{kWindow, 0x10'0000};
  devices::test::FakeMsi sink;
  devices::test::FakeMsiEvents events;
  FakeDoorbells bells;
  FakeDevice::Log log;
  std::unique_ptr<PciTransport> function;
  std::map<std::uint64_t, std::uint64_t> capabilities;  // by the structure they name
  std::uint64_t msix = 0;
};

TEST_F(PciTransportTest, IsWhatAModernDriverLooksFor) {
  EXPECT_EQ(get(0, 4), 0x1042'1af4U);
  EXPECT_EQ(get(pci::kRevision, 1), 1U);
  for (const unsigned structure : {1U, 2U, 3U, 4U, 5U})
    EXPECT_TRUE(capabilities.contains(structure)) << structure;
  ASSERT_NE(msix, 0U);
  EXPECT_EQ(get(msix + 2, 2), 2U) << "a vector for each queue and one for the device";
  EXPECT_EQ(bar(), kWindow);
  EXPECT_EQ(load(place(4) + 4, 2), 0x1514U) << "the device's configuration";
}

TEST_F(PciTransportTest, StartsItsDeviceWithWhatTheDriverSaid) {
  start();
  ASSERT_EQ(log.started.size(), 1U);
  const Activation& activation = log.started[0];
  EXPECT_EQ(activation.features, kFeatureVersion1);
  ASSERT_EQ(activation.queues.size(), 1U);
  const Queue& queue = activation.queues[0];
  EXPECT_EQ(queue.index, 1U);
  EXPECT_EQ(queue.size, 128);
  EXPECT_EQ(queue.descriptors, 0x4000U);
  EXPECT_EQ(queue.driver_area, 0x5000U);
  EXPECT_EQ(queue.device_area, 0x6000U);
  EXPECT_NE(queue.call, nullptr);
}

TEST_F(PciTransportTest, ANotificationIsAnEventWithOrWithoutADoorbell) {
  start();
  const int kick = log.started.at(0).queues.at(0).kick->get();
  const std::uint64_t offset = place(2) + get(capabilities.at(2) + 16, 4) * common(30, 2);
  EXPECT_EQ(bells.at.at(bar() + offset), kick) << "no exit";
  store(offset, 1, 2);
  store(offset, 1, 4);
  EXPECT_EQ(taken(kick), 2U) << "after an exit";
  store(place(2) + 4 * 2, 1, 2);
  EXPECT_EQ(taken(kick), 0U) << "no such queue";
}

TEST_F(PciTransportTest, DoorbellsFollowTheBar) {
  const std::uint64_t notify = place(2);
  EXPECT_TRUE(bells.at.contains(kWindow + notify));
  set(pci::kFirstBar, kWindow + 0x8'0000, 4);
  EXPECT_FALSE(bells.at.contains(kWindow + notify));
  EXPECT_TRUE(bells.at.contains(kWindow + 0x8'0000 + notify));
  EXPECT_EQ(bells.at.size(), 2U);
  set(pci::kFirstBar, 0x1000, 4);
  EXPECT_TRUE(bells.at.empty()) << "in RAM nothing may answer";
  bells.refuse = true;
  set(pci::kFirstBar, kWindow, 4);
  EXPECT_EQ(function->troubles().doorbells, 2U);
  EXPECT_EQ(common(18, 2), 2U) << "it works without";
}

TEST_F(PciTransportTest, InterruptsGoWhereTheDriverWantsThem) {
  start();
  turn_msix_on();
  EXPECT_EQ(events.delivered.at(1), (devices::MsiMessage{0xfee0'0000, 0x41}));
  log.host->failed();
  EXPECT_EQ(common(20, 1), 0x4fU) << "the device needs a reset";
  const std::uint64_t pending = get(msix + 8, 4) & ~std::uint64_t{7};
  set(msix + 2, 0xc000, 2);
  EXPECT_EQ(load(pending, 8), 4U) << "the third vector, the driver's choice for the configuration";
  EXPECT_EQ(load(place(3), 1), 2U);
  EXPECT_EQ(load(place(3), 1), 0U) << "reading takes it";
}

TEST_F(PciTransportTest, AResetWaitsForTheDevice) {
  start();
  set_common(20, 0, 1);
  EXPECT_EQ(log.stops, 1);
  EXPECT_EQ(common(20, 1), 15U);
  start();
  EXPECT_EQ(log.started.size(), 1U) << "not before it is stopped";
  log.host->failed();
  EXPECT_EQ(common(20, 1), 15U) << "no longer anybody's business";
  log.host->stopped();
  EXPECT_EQ(common(20, 1), 0U);
  start();
  EXPECT_EQ(log.started.size(), 2U);
  set_common(20, 0, 1);
  log.host->stopped();
  set_common(20, 0, 1);
  EXPECT_EQ(common(20, 1), 0U) << "a device that was not started is reset at once";
  EXPECT_EQ(log.stops, 2);
}

TEST_F(PciTransportTest, RingsThatAreNotInRamAreNotStarted) {
  for (const std::uint64_t rings : {kRam, kRam - 0x1000, std::uint64_t{0} - 0x1000, std::uint64_t{0x4008}}) {
    start(rings);
    EXPECT_TRUE(log.started.empty()) << rings;
    EXPECT_EQ(common(20, 1), 0x4fU);
    set_common(20, 0, 1);
    EXPECT_EQ(common(20, 1), 0U);
  }
  EXPECT_EQ(log.stops, 0);
}

TEST_F(PciTransportTest, TheBarIsReachedThroughConfigurationSpaceToo) {
  const std::uint64_t window_at = capabilities.at(5);
  set(window_at + 8, place(4) + 4, 4);
  set(window_at + 12, 2, 4);
  EXPECT_EQ(get(window_at + 16, 2), 0x1514U);
  set(window_at + 8, place(1) + 20, 4);
  set(window_at + 12, 1, 4);
  set(window_at + 16, 1, 1);
  EXPECT_EQ(common(20, 1), 1U);
  for (const auto& [offset, length] : {std::pair(0x8000U, 4U), {0xffff'fffcU, 4U}, {0U, 8U}, {2U, 4U}}) {
    set(window_at + 8, offset, 4);
    set(window_at + 12, length, 4);
    EXPECT_EQ(get(window_at + 16, 4), 0U) << offset;
  }
  set(window_at + 4, 1, 1);
  set(window_at + 8, place(4), 4);
  set(window_at + 12, 4, 4);
  EXPECT_EQ(get(window_at + 16, 4), 0U) << "there is no BAR 1";
}

TEST_F(PciTransportTest, ResetBringsBackTheRegisters) {
  start();
  turn_msix_on();
  function->reset();
  EXPECT_EQ(log.stops, 1);
  EXPECT_EQ(get(pci::kCommand, 2), 0U);
  EXPECT_TRUE(bells.at.empty());
  log.host->stopped();
  set(pci::kCommand, pci::kCommandMemory, 2);
  EXPECT_EQ(common(20, 1), 0U);
}

/// Whatever a guest writes, wherever; the device must only ever see what it may be started with.
TEST_F(PciTransportTest, AnyAccessIsHarmless) {
  constexpr std::uint32_t kSeed = 11;
  std::mt19937_64 random(kSeed);
  const auto value = [&random] {
    switch (random() % 4) {
      case 0:
        return random() % 16;
      case 1:
        return std::uint64_t{1} << random() % 64;
      case 2:
        return random() % kRam & ~std::uint64_t{0xff};
      default:
        return random();
    }
  };
  for (int i = 0; i < 300'000; ++i) {
    const std::size_t size = std::size_t{1} << random() % 4;
    switch (random() % 8) {
      case 0:
        set(random() % (devices::kPciConfigBytes - 8), value(), std::min<std::size_t>(size, 4));
        break;
      case 1:
        static_cast<void>(get(random() % 256, std::min<std::size_t>(size, 4)));
        break;
      case 2:
        set(pci::kCommand, pci::kCommandMemory, 2);
        set(pci::kFirstBar, kWindow, 8);
        break;
      case 3:
        static_cast<void>(load(random() % 0x8000, size));
        break;
      case 4:
        if (log.stops > 0 && random() % 2 == 0) {
          log.host->stopped();
          log.stops = 0;
        } else if (random() % 16 == 0) {
          log.host->failed();
        }
        break;
      case 5:
        store(place(1) + random() % 56, value(), size);
        break;
      case 6:
        if (random() % 64 == 0) start(value());
        break;
      default:
        store(random() % 0x8000, value(), size);
        break;
    }
    ASSERT_LE(log.stops, 1) << "seed " << kSeed << ", step " << i;
    for (const Activation& activation : log.started) {
      for (const Queue& queue : activation.queues) {
        ASSERT_LE(queue.descriptors + 16 * std::uint64_t{queue.size}, kRam)
            << "seed " << kSeed << ", step " << i;
        ASSERT_LE(queue.size, 128);
      }
    }
    log.started.clear();
  }
}

}  // namespace pci_transport_test
}  // namespace vmm::virtio
