// Each device's state, saved from one and restored into another: the guest cannot tell them apart.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <random>
#include <string>

#include "tests/vmm/devices/fakes.h"
#include "vmm/devices/acpi_pm.h"
#include "vmm/devices/generation_id.h"
#include "vmm/devices/i8042.h"
#include "vmm/devices/ioapic.h"
#include "vmm/devices/legacy_ports.h"
#include "vmm/devices/pci_host.h"
#include "vmm/devices/reset_control.h"
#include "vmm/devices/rtc.h"
#include "vmm/devices/serial.h"
#include "vmm/snapshot/section_fields.h"

namespace vmm::devices {
namespace device_state_test {

using ::testing::HasSubstr;

/// What a device is connected to.
struct Surroundings {
  test::FakeLine line;
  test::FakeMsi msi;
  test::FakeClock clock;
  test::FakePower power;
  test::FakeSink sink;
};

std::vector<std::byte> saved(Stateful& device) {
  snapshot::SectionWriter writer;
  snapshot::save(writer, device);
  return std::move(writer).finish();
}

uvm::Status restored(Stateful& device, std::span<const std::byte> state) {
  UVMM_TRY(const auto table, snapshot::SectionTable::read(state));
  return snapshot::restore(table, device);
}

/// Writes `writes` random values into the first `ports` registers, restores a second device from the first,
/// and holds both against each other, register by register, for as many random accesses again.
template <class Device>
void expect_twins(Device& one, Device& other, std::uint64_t ports, std::size_t size = 1) {
  std::mt19937_64 random(11);
  for (int i = 0; i < 400; ++i) test::write(one, random() % (ports / size) * size, random(), size);
  const auto state = saved(one);
  const auto done = restored(other, state);
  ASSERT_TRUE(done) << done.error().text();
  EXPECT_EQ(saved(other), state);
  for (int i = 0; i < 400; ++i) {
    const std::uint64_t offset = random() % (ports / size) * size;
    if (random() % 2 == 0) {
      EXPECT_EQ(test::read(one, offset, size), test::read(other, offset, size)) << "access " << i;
    } else {
      const std::uint64_t value = random();
      test::write(one, offset, value, size);
      test::write(other, offset, value, size);
    }
  }
}

TEST(DeviceState, Serial) {
  Surroundings a;
  Surroundings b;
  Serial one(a.line, a.sink);
  Serial other(b.line, b.sink);
  expect_twins(one, other, Serial::kPorts);
  EXPECT_EQ(a.line.level, b.line.level);
}

TEST(DeviceState, SerialOutputThatWaitsGoesToTheNewSink) {
  Surroundings a;
  Surroundings b;
  a.sink.room = 1;
  Serial one(a.line, a.sink);
  for (const char c : {'x', 'y', 'z'}) test::write(one, 0, static_cast<std::uint8_t>(c));
  Serial other(b.line, b.sink);
  ASSERT_TRUE(restored(other, saved(one)));
  EXPECT_EQ(a.sink.text, "x");
  EXPECT_EQ(b.sink.text, "yz");
  EXPECT_TRUE(other.output_idle());
}

TEST(DeviceState, SerialInputIsTheHosts) {
  Surroundings a;
  Surroundings b;
  Serial one(a.line, a.sink);
  Serial other(b.line, b.sink);
  test::write(one, 1, 1);  // receive interrupt
  ASSERT_EQ(one.offer_input(test::bytes("mine")), 4U);
  ASSERT_TRUE(a.line.up());
  ASSERT_TRUE(restored(other, saved(one)));
  EXPECT_EQ(test::read(other, 5) & 1, 0U);
  EXPECT_FALSE(b.line.up());
  ASSERT_EQ(other.offer_input(test::bytes("other")), 5U);
  EXPECT_TRUE(b.line.up());
  EXPECT_EQ(test::read(other, 0), static_cast<std::uint64_t>('o'));
}

TEST(DeviceState, Rtc) {
  Surroundings a;
  a.clock.wall = 1'700'000'000'000'000'000;
  Rtc one(a.clock);
  Rtc other(a.clock, {std::uint64_t{1} << 30, 0});
  expect_twins(one, other, Rtc::kPorts);
}

TEST(DeviceState, I8042) {
  Surroundings a;
  I8042 one(a.power);
  I8042 other(a.power);
  expect_twins(one, other, 5);
}

TEST(DeviceState, AcpiPmWhoseTimerGoesOn) {
  Surroundings a;
  Surroundings b;
  a.clock.monotonic = 5'000'000'000;
  b.clock.monotonic = 900;
  AcpiPm one(a.line, a.clock, a.power);
  AcpiPm other(b.line, b.clock, b.power);
  test::write(one, AcpiPm::kEnableOffset, 0x0100, 2);
  one.press_power_button();
  ASSERT_TRUE(restored(other, saved(one)));
  EXPECT_EQ(test::read(one, 0, 2), test::read(other, 0, 2));
  EXPECT_TRUE(b.line.up());
  EXPECT_EQ(test::read(one, AcpiPm::kTimerOffset, 4), test::read(other, AcpiPm::kTimerOffset, 4));
  a.clock.monotonic += 1'000'000;
  b.clock.monotonic += 1'000'000;
  EXPECT_EQ(test::read(one, AcpiPm::kTimerOffset, 4), test::read(other, AcpiPm::kTimerOffset, 4));
}

TEST(DeviceState, AcpiPmWhoseTimerWasPutForward) {
  Surroundings a;
  AcpiPm one(a.line, a.clock, a.power);
  const auto before = test::read(one, AcpiPm::kTimerOffset, 4);
  one.advance(1'000'000'000);
  EXPECT_EQ(test::read(one, AcpiPm::kTimerOffset, 4) - before, AcpiPm::kTimerHertz);
}

TEST(DeviceState, GenerationIdWithItsPlace) {
  Surroundings a;
  Surroundings b;
  GenerationId one(a.line);
  GenerationId other(b.line);
  EXPECT_EQ(other.place(), std::nullopt);
  one.set_place(uvm::Gpa(0xe0080));
  one.renew({std::byte{1}, std::byte{2}}, Tell::Nobody);
  EXPECT_EQ(a.line.edges, 0);
  ASSERT_TRUE(restored(other, saved(one)));
  EXPECT_EQ(other.place(), uvm::Gpa(0xe0080));
  EXPECT_EQ(other.bytes(), one.bytes());
  EXPECT_EQ(b.line.edges, 0);
  other.renew({}, Tell::Guest);
  EXPECT_EQ(b.line.edges, 1);
  EXPECT_FALSE(b.line.up());
  EXPECT_NE(other.bytes(), one.bytes());
  // Where no table of ours puts it.
  one.set_place(uvm::Gpa(0xe0081));
  EXPECT_THAT(restored(other, saved(one)).error().text(), HasSubstr("its place is impossible"));
}

TEST(DeviceState, SmallPorts) {
  Surroundings a;
  ResetControl reset_one(a.power);
  ResetControl reset_other(a.power);
  expect_twins(reset_one, reset_other, 1);
  PortA port_a_one(a.power);
  PortA port_a_other(a.power);
  expect_twins(port_a_one, port_a_other, 1);
  PortB port_b_one;
  PortB port_b_other;
  expect_twins(port_b_one, port_b_other, 1);
  PostPort post_one;
  PostPort post_other;
  expect_twins(post_one, post_other, 1);
}

TEST(DeviceState, PciAddress) {
  PciHost one;
  PciHost other;
  test::write(one.ports(), 0, 0x8000'0000, 4);
  ASSERT_TRUE(restored(other, saved(one)));
  EXPECT_EQ(test::read(other.ports(), 4, 4), 0x0008'1b36U);
}

TEST(DeviceState, IoApicWithItsLinesAndRoutes) {
  Surroundings a;
  Surroundings b;
  IoApic one(a.msi);
  IoApic other(b.msi);
  int told = 0;
  other.set_on_routes_changed([&told] { ++told; });
  std::mt19937_64 random(13);
  for (int i = 0; i < 2000; ++i) {
    switch (random() % 4) {
      case 0:
        test::write(one, IoApic::kSelectOffset, random() % 0x40, 4);
        break;
      case 1:
        test::write(one, IoApic::kWindowOffset, random(), 4);
        break;
      case 2:
        one.line(static_cast<unsigned>(random() % IoApic::kPins))
            .set_level(random() % 2 == 0 ? Level::Low : Level::High);
        break;
      default:
        one.on_eoi(static_cast<std::uint8_t>(random()));
    }
  }
  const auto state = saved(one);
  const auto done = restored(other, state);
  ASSERT_TRUE(done) << done.error().text();
  EXPECT_EQ(saved(other), state);
  EXPECT_EQ(one.routes(), other.routes());
  EXPECT_EQ(told, 1);
  a.msi.sent.clear();
  b.msi.sent.clear();
  for (unsigned vector = 0; vector < 256; ++vector) {
    one.on_eoi(static_cast<std::uint8_t>(vector));
    other.on_eoi(static_cast<std::uint8_t>(vector));
  }
  EXPECT_EQ(a.msi.sent, b.msi.sent);
}

TEST(DeviceState, ImpossibleValuesAreRefusedByName) {
  Surroundings a;
  Rtc rtc(a.clock);
  const std::vector<std::byte> wrong(128 + 8 + 1, std::byte{0xff});
  snapshot::SectionWriter writer;
  writer.add({"rtc", 0, 1, snapshot::Unknown::Refuse, wrong});
  const auto done = restored(rtc, std::move(writer).finish());
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().text(), HasSubstr("section rtc: its index is impossible"));
}

TEST(DeviceState, AnyContentIsTakenOrRefusedAndHarmsNobody) {
  Surroundings a;
  Serial serial(a.line, a.sink);
  Rtc rtc(a.clock);
  I8042 i8042(a.power);
  AcpiPm pm(a.line, a.clock, a.power);
  IoApic io_apic(a.msi);
  const std::array<std::pair<Stateful*, BusDevice*>, 5> devices{
      {{&serial, &serial}, {&rtc, &rtc}, {&i8042, &i8042}, {&pm, &pm}, {&io_apic, &io_apic}}};
  std::mt19937_64 random(17);
  for (int round = 0; round < 3000; ++round) {
    const auto& [state, device] = devices[random() % devices.size()];
    std::vector<std::byte> content(random() % 200);
    for (std::byte& byte : content) byte = static_cast<std::byte>(random() % 4 == 0 ? random() : 0);
    snapshot::SectionWriter writer;
    writer.add({std::string(state->state_name()), 0, 1, snapshot::Unknown::Refuse, content});
    static_cast<void>(restored(*state, std::move(writer).finish()));
    for (std::uint64_t offset = 0; offset < 8; ++offset) {
      test::write(*device, offset, random());
      static_cast<void>(test::read(*device, offset));
    }
  }
}

}  // namespace device_state_test
}  // namespace vmm::devices
