// The small devices with which a guest ends itself, and the ports of parts that are not there.
#include <gtest/gtest.h>

#include "tests/vmm/devices/fakes.h"
#include "vmm/devices/acpi_pm.h"
#include "vmm/devices/debug_exit.h"
#include "vmm/devices/i8042.h"
#include "vmm/devices/legacy_ports.h"
#include "vmm/devices/reset_control.h"

namespace vmm::devices {
namespace power_devices_test {

using test::read;
using test::write;
using Kind = PowerEvent::Kind;

struct AcpiPmTest : testing::Test {
  test::FakeLine sci;
  test::FakeClock clock;
  test::FakePower power;
  AcpiPm pm{sci, clock, power};
};

TEST_F(AcpiPmTest, PowerButtonHoldsTheSciUntilAcknowledged) {
  pm.press_power_button();
  EXPECT_FALSE(sci.up()) << "not enabled";
  EXPECT_EQ(read(pm, 0, 2), 0x100U);
  write(pm, 2, 0x100, 2);
  EXPECT_TRUE(sci.up());
  write(pm, 0, 0x001, 2);
  EXPECT_TRUE(sci.up());
  write(pm, 0, 0x100, 2);
  EXPECT_FALSE(sci.up());
  EXPECT_EQ(read(pm, 0, 4), 0x0100'0000U);
}

TEST_F(AcpiPmTest, SleepTypeFivePowersOff) {
  EXPECT_EQ(read(pm, 4, 2), 1U) << "SCI_EN";
  write(pm, 4, 5U << 10, 2);
  EXPECT_EQ(power.events.size(), 0U) << "no SLP_EN";
  EXPECT_EQ(read(pm, 4, 2), 5U << 10 | 1);
  write(pm, 4, 1U << 13 | 3U << 10, 2);
  EXPECT_EQ(power.events.size(), 0U) << "another sleep";
  write(pm, 4, 1U << 13 | 5U << 10, 2);
  EXPECT_EQ(power.count(Kind::PowerOff), 1U);
  EXPECT_EQ(read(pm, 4, 2), 5U << 10 | 1) << "SLP_EN reads as zero";
}

TEST_F(AcpiPmTest, TheTimerCountsAt3579545HertzAndWraps) {
  EXPECT_EQ(read(pm, 8, 4), 0U);
  clock.monotonic = 1'000'000'000;
  EXPECT_EQ(read(pm, 8, 4), AcpiPm::kTimerHertz);
  clock.monotonic = 10'000'000;
  EXPECT_EQ(read(pm, 8, 4), 35'795U);
  clock.monotonic = 86'400'000'000'000ULL * 365;
  EXPECT_EQ(read(pm, 8, 4), (AcpiPm::kTimerHertz * 86'400 * 365) & 0xffff'ffffU);
  EXPECT_EQ(read(pm, 12, 4), 0U);
}

TEST_F(AcpiPmTest, ResetDropsTheLine) {
  write(pm, 2, 0x100, 2);
  pm.press_power_button();
  pm.reset();
  EXPECT_FALSE(sci.up());
  EXPECT_EQ(read(pm, 0, 4), 0U);
}

struct I8042Test : testing::Test {
  std::uint64_t ask(std::uint64_t command) {
    write(i8042, I8042::kCommandOffset, command);
    EXPECT_EQ(read(i8042, I8042::kCommandOffset) & 1, 1U) << "the answer is there at once";
    return read(i8042, I8042::kDataOffset);
  }
  void tell(std::uint64_t command, std::uint64_t data) {
    write(i8042, I8042::kCommandOffset, command);
    write(i8042, I8042::kDataOffset, data);
  }
  test::FakePower power;
  I8042 i8042{power};
};

TEST_F(I8042Test, LinuxProbesItWithoutATimeOut) {
  EXPECT_EQ(read(i8042, I8042::kCommandOffset) & 3, 0U) << "i8042_flush: nothing to read";
  EXPECT_EQ(ask(0xaa), 0x55U);
  tell(0x60, 0x47);
  EXPECT_EQ(ask(0x20), 0x47U);
  EXPECT_EQ(ask(0xab), 0x00U);
  tell(0xd3, 0x5a);
  EXPECT_EQ(read(i8042, I8042::kCommandOffset) & 0x21, 0x01U) << "an answer, not from the mouse";
  EXPECT_EQ(read(i8042, I8042::kDataOffset), 0x5aU);
  EXPECT_EQ(ask(0xa9), 0x01U) << "no mouse port";
  write(i8042, I8042::kCommandOffset, 0xad);
  EXPECT_EQ(ask(0x20), 0x57U);
  EXPECT_EQ(read(i8042, I8042::kCommandOffset) & 1, 0U);
  EXPECT_EQ(read(i8042, I8042::kDataOffset), 0U);
  EXPECT_TRUE(power.events.empty());
}

TEST_F(I8042Test, ResetsByPulseAndByOutputPort) {
  write(i8042, I8042::kCommandOffset, 0xff);
  EXPECT_EQ(power.count(Kind::Reset), 0U);
  write(i8042, I8042::kCommandOffset, 0xfe);
  EXPECT_EQ(power.count(Kind::Reset), 1U);
  tell(0xd1, 0x03);
  EXPECT_EQ(power.count(Kind::Reset), 1U);
  tell(0xd1, 0x02);
  EXPECT_EQ(power.count(Kind::Reset), 2U);
}

TEST_F(I8042Test, KeyboardBytesVanish) {
  write(i8042, I8042::kDataOffset, 0xff);
  EXPECT_EQ(read(i8042, I8042::kCommandOffset) & 1, 0U);
  i8042.reset();
  EXPECT_EQ(ask(0x20), 0x74U);
}

TEST(ResetControl, ARisingBitTwoResets) {
  test::FakePower power;
  ResetControl control(power);
  write(control, 0, 0x02);
  EXPECT_EQ(read(control, 0), 0x02U);
  write(control, 0, 0x0e);
  write(control, 0, 0x06);
  EXPECT_EQ(power.count(Kind::Reset), 1U);
  control.reset();
  write(control, 0, 0x06);
  EXPECT_EQ(power.count(Kind::Reset), 2U);
}

TEST(DebugExit, HandsOnTheValueOfAnyWidth) {
  test::FakePower power;
  DebugExit device(power);
  write(device, 0, 0x12, 1);
  write(device, 0, 0x1234, 2);
  write(device, 0, 0x1234'5678, 4);
  ASSERT_EQ(power.count(Kind::DebugExit), 3U);
  EXPECT_EQ(power.events[0].value, 0x12U);
  EXPECT_EQ(power.events[1].value, 0x1234U);
  EXPECT_EQ(power.events[2].value, 0x1234'5678U);
  EXPECT_EQ(read(device, 0, 4), 0U);
}

// probe_8259A().
TEST(LegacyPorts, LinuxSeesNoPic) {
  ConstantPorts pic(0xff);
  write(pic, 1, 0xfb);
  EXPECT_NE(read(pic, 1), 0xfbU);
}

// quick_pit_calibrate(), then pit_calibrate_tsc(): both must give up in a few reads.
TEST(LegacyPorts, LinuxGivesUpOnThePitAtOnce) {
  ConstantPorts pit(0x00);
  PortB port_b;
  write(port_b, 0, (read(port_b, 0) & ~std::uint64_t{2}) | 1);
  int rounds = 0;
  for (; rounds < 50'000; ++rounds) {
    read(pit, 2);
    if (read(pit, 2) != 0xff) break;
  }
  EXPECT_EQ(rounds, 0);
  EXPECT_NE(read(port_b, 0) & 0x20, 0U) << "timer 2 has run out";
  EXPECT_EQ(read(port_b, 0) & 0xc0, 0U) << "no NMI cause";
  EXPECT_NE(read(port_b, 0) & 0x10, read(port_b, 0) & 0x10) << "refresh toggles";
  EXPECT_EQ(read(port_b, 0) & 0x03, 0x01U);
}

TEST(LegacyPorts, PortAKeepsA20AndResets) {
  test::FakePower power;
  PortA port(power);
  EXPECT_EQ(read(port, 0), 2U);
  write(port, 0, 0);
  EXPECT_EQ(read(port, 0), 2U);
  write(port, 0, 1);
  EXPECT_EQ(power.count(Kind::Reset), 1U);
}

TEST(LegacyPorts, PostCodesAreKept) {
  PostPort port;
  write(port, 0, 0x42);
  EXPECT_EQ(port.code(), 0x42);
  EXPECT_EQ(read(port, 0), 0x42U);
}

}  // namespace power_devices_test
}  // namespace vmm::devices
