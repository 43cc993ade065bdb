// What a guest may do to every device: anything. Random accesses through a bus, with the address sanitizer
// watching; what has a bound is checked to keep it.
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "tests/vmm/devices/fakes.h"
#include "vmm/devices/acpi_pm.h"
#include "vmm/devices/debug_exit.h"
#include "vmm/devices/i8042.h"
#include "vmm/devices/ioapic.h"
#include "vmm/devices/legacy_ports.h"
#include "vmm/devices/pci_host.h"
#include "vmm/devices/reset_control.h"
#include "vmm/devices/rtc.h"
#include "vmm/devices/serial.h"
#include "vmm/machine/bus.h"

namespace vmm::devices {
namespace robustness_test {

/// Counts only: a flood must not fill the test's own memory.
class CountingPower : public PowerSink {
 public:
  void power(PowerEvent /*event*/) override { ++events; }
  std::uint64_t events = 0;
};
class CountingMsi : public MsiSink {
 public:
  uvm::Status send(std::uint64_t address, std::uint32_t data) override {
    EXPECT_EQ(address & 0xfff0'0ffb, 0xfee0'0000U);
    EXPECT_EQ(data & ~0xc7ffU, 0U);
    return uvm::ok();
  }
};
class StutteringSink : public ByteSink {
 public:
  std::size_t offer(std::span<const std::byte> bytes) override {
    const std::size_t taken = std::min<std::size_t>(bytes.size(), calls++ % 3);
    total += taken;
    return taken;
  }
  std::uint64_t calls = 0;
  std::uint64_t total = 0;
};

struct Robustness : testing::TestWithParam<unsigned> {
  void SetUp() override {
    const auto claim = [this](const char* name, std::uint64_t begin, std::uint64_t size, BusDevice& device,
                              std::uint64_t first_offset = 0) {
      ASSERT_TRUE(bus.add(BusSpace::Io, name, begin, size, device, first_offset)) << name;
    };
    claim("pic", 0x20, 2, pic);
    claim("pit", 0x40, 4, pit);
    claim("i8042 data", 0x60, 1, i8042);
    claim("port B", 0x61, 1, port_b);
    claim("i8042 command", 0x64, 1, i8042, I8042::kCommandOffset);
    claim("rtc", 0x70, Rtc::kPorts, rtc);
    claim("post", 0x80, 1, post);
    claim("port A", 0x92, 1, port_a);
    claim("debug exit", 0xf4, DebugExit::kPorts, debug_exit);
    claim("serial", 0x3f8, Serial::kPorts, serial);
    claim("pm", 0x600, AcpiPm::kPorts, pm);
    claim("pci", 0xcf8, PciHost::kPorts, pci.ports());
    ASSERT_TRUE(bus.add(BusSpace::Mmio, "ioapic", 0xfec0'0000, IoApic::kBytes, ioapic));
    ASSERT_TRUE(bus.add(BusSpace::Mmio, "ecam", 0xe000'0000, PciHost::kEcamBytesPerBus * 2, pci.ecam()));
    bus.seal();
  }

  Bus bus;
  CountingMsi msi;
  CountingPower power;
  StutteringSink sink;
  test::FakeClock clock;
  IoApic ioapic{msi};
  Serial serial{ioapic.line(4), sink, {.input_capacity = 64, .poll_wait = {}, .write_wait = {}}};
  AcpiPm pm{ioapic.line(9), clock, power};
  Rtc rtc{clock};
  I8042 i8042{power};
  DebugExit debug_exit{power};
  ResetControl reset_control{power};
  PciHost pci{&reset_control};
  ConstantPorts pic{0xff};
  ConstantPorts pit{0};
  PortB port_b;
  PortA port_a{power};
  PostPort post;
};

TEST_P(Robustness, RandomAccessesOfEverySize) {
  constexpr std::array<std::uint64_t, 13> kPorts{0x20, 0x40, 0x60,  0x61,  0x64,  0x70,  0x80,
                                                 0x92, 0xf4, 0x3f8, 0x600, 0xcf8, 0xffff};
  std::mt19937_64 random(GetParam());
  std::array<std::byte, 16> buffer{};
  for (int i = 0; i < 200'000; ++i) {
    const std::uint64_t dice = random();
    const auto data = std::span(buffer).first(dice % 9);
    store_le(data, random());
    BusSpace space = BusSpace::Io;
    std::uint64_t address = kPorts[(dice >> 8) % kPorts.size()] + (dice >> 16) % 18 - 1;
    if ((dice >> 32) % 4 == 0) {
      space = BusSpace::Mmio;
      const std::uint64_t choice = (dice >> 40) % 3;
      if (choice == 0) address = 0xfec0'0000 + random() % 0x44;
      if (choice == 1) address = 0xe000'0000 + random() % (PciHost::kEcamBytesPerBus * 2 + 8);
      if (choice == 2) address = random();
    }
    if ((dice >> 48) % 2 == 0) {
      bus.read(space, address, data);
    } else {
      bus.write(space, address, data);
    }
    clock.monotonic += dice % 1'000'000;
    clock.wall = random() >> (dice >> 56) % 64 >> 1;
    if (i % 16 == 0) serial.sink_ready();
    if (i % 32 == 0) static_cast<void>(serial.offer_input(buffer));
    if (i % 64 == 0) pm.press_power_button();
    if (i % 128 == 0) ioapic.on_eoi(static_cast<std::uint8_t>(dice));
  }
  EXPECT_EQ(serial.counters().output_bytes, sink.total);
  EXPECT_GT(power.events, 0U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Robustness, testing::Values(1U, 2U, 3U));

}  // namespace robustness_test
}  // namespace vmm::devices
