#include "vmm/devices/pci_host.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/vmm/devices/fakes.h"
#include "vmm/devices/reset_control.h"

namespace vmm::devices {
namespace pci_host_test {

using test::read;
using test::write;

class FakeFunction : public PciFunction {
 public:
  FakeFunction() { std::iota(config.begin(), config.end(), std::uint8_t{0}); }
  void read_config(std::uint64_t offset, std::span<std::byte> data) override {
    for (std::byte& byte : data) byte = std::byte{config.at(offset++)};
  }
  void write_config(std::uint64_t offset, std::span<const std::byte> data) override {
    for (const std::byte byte : data) config.at(offset++) = std::to_integer<std::uint8_t>(byte);
  }
  void reset() override { ++resets; }
  std::array<std::uint8_t, kPciConfigBytes> config{};
  int resets = 0;
};

struct PciHostTest : testing::Test {
  PciHostTest() { EXPECT_TRUE(host.add({.device = 3, .function = 1}, function)); }
  void select(std::uint32_t devfn, std::uint32_t offset) {
    write(host.ports(), 0, 0x8000'0000U | devfn << 8 | offset, 4);
  }
  test::FakePower power;
  ResetControl reset_control{power};
  PciHost host{&reset_control};
  FakeFunction function;
};

// pci_check_type1() and pci_sanity_check() of Linux.
TEST_F(PciHostTest, LinuxBelievesInMechanismOne) {
  write(host.ports(), 3, 0x01);
  write(host.ports(), 0, 0x8000'0000U, 4);
  EXPECT_EQ(read(host.ports(), 0, 4), 0x8000'0000U);
  write(host.ports(), 0, 0xffff'ffffU, 4);
  EXPECT_EQ(read(host.ports(), 0, 4), 0x80ff'fffcU) << "reserved bits read as zero";
  select(0, 0x08);
  EXPECT_EQ(read(host.ports(), 4 + 2, 2), 0x0600U) << "a host bridge";
  select(0, 0);
  EXPECT_EQ(read(host.ports(), 4, 4), 0x0008'1b36U);
  select(0, 0x0c);
  EXPECT_EQ(read(host.ports(), 4 + 2), 0U) << "one function";
}

TEST_F(PciHostTest, AllWidthsReachTheRightBytes) {
  select(3 << 3 | 1, 0x24);
  EXPECT_EQ(read(host.ports(), 4, 4), 0x2726'2524U);
  EXPECT_EQ(read(host.ports(), 6, 2), 0x2726U);
  EXPECT_EQ(read(host.ports(), 5, 1), 0x25U);
  write(host.ports(), 5, 0xabcd, 2);
  EXPECT_EQ(read(host.ports(), 4, 4), 0x27ab'cd24U);
  EXPECT_EQ(read(host.ecam(), (3 << 15 | 1 << 12) + 0x24, 4), 0x27ab'cd24U);
}

TEST_F(PciHostTest, EcamReachesExtendedSpace) {
  const std::uint64_t base = 3 << 15 | 1 << 12;
  write(host.ecam(), base + 0xffc, 0x0102'0304'0506'0708, 4);
  EXPECT_EQ(function.config[0xfff], 0x05);
  EXPECT_EQ(read(host.ecam(), base + 0xff8, 8), 0x0506'0708'fbfa'f9f8U);
  EXPECT_EQ(read(host.ecam(), base + 0xffe, 4), 0xffff'0506U) << "the next function is not there";
}

TEST_F(PciHostTest, WhatIsAbsentReadsAsOnes) {
  select(4 << 3, 0);
  EXPECT_EQ(read(host.ports(), 4, 4), 0xffff'ffffU);
  write(host.ports(), 0, 0x8001'0000U, 4);
  EXPECT_EQ(read(host.ports(), 4, 4), 0xffff'ffffU) << "bus 1";
  write(host.ports(), 0, 0x0000'0000U, 4);
  EXPECT_EQ(read(host.ports(), 4, 4), 0xffff'ffffU) << "not enabled";
  EXPECT_EQ(read(host.ecam(), 0x10'0000, 4), 0xffff'ffffU);
  EXPECT_EQ(read(host.ecam(), 0xfff'fffc, 4), 0xffff'ffffU);
  write(host.ecam(), 0x10'0000, 0, 4);
}

TEST_F(PciHostTest, SlotsAreCheckedOnce) {
  FakeFunction other;
  EXPECT_EQ(host.add({.device = 3, .function = 1}, other).error().kind(), uvm::ErrorKind::Busy);
  EXPECT_EQ(host.add({.device = 0, .function = 0}, other).error().kind(), uvm::ErrorKind::Busy);
  EXPECT_EQ(host.add({.device = 32, .function = 0}, other).error().kind(), uvm::ErrorKind::Invalid);
  EXPECT_EQ(host.add({.device = 1, .function = 8}, other).error().kind(), uvm::ErrorKind::Invalid);
}

// native_machine_emergency_restart() with BOOT_CF9_FORCE.
TEST_F(PciHostTest, ResetControlSharesThePort) {
  select(3 << 3 | 1, 0x24);
  const std::uint64_t before = read(host.ports(), 1);
  write(host.ports(), 1, before | 2);
  EXPECT_EQ(power.count(PowerEvent::Kind::Reset), 0U);
  write(host.ports(), 1, before | 6);
  EXPECT_EQ(power.count(PowerEvent::Kind::Reset), 1U);
  EXPECT_EQ(read(host.ports(), 0, 4), 0x8000'1924U) << "CONFIG_ADDRESS is untouched";
}

TEST_F(PciHostTest, WithoutResetControlItsPortIsOpenBus) {
  PciHost bare;
  EXPECT_EQ(read(bare.ports(), 1), 0xffU);
  write(bare.ports(), 1, 6);
}

TEST_F(PciHostTest, ResetReachesEveryFunction) {
  select(0, 0);
  host.reset();
  EXPECT_EQ(function.resets, 1);
  EXPECT_EQ(read(host.ports(), 0, 4), 0U);
}

}  // namespace pci_host_test
}  // namespace vmm::devices
