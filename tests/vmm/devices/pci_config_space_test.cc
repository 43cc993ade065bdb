#include "vmm/devices/pci_config_space.h"

#include <gtest/gtest.h>

#include "tests/vmm/devices/fakes.h"
#include "vmm/devices/pci_bars.h"

namespace vmm::devices {
namespace pci_config_space_test {

constexpr PciIdentity kIdentity{.vendor = 0x1af4,
                                .device = 0x1042,
                                .revision = 1,
                                .class_code = 0x018000,
                                .subsystem_vendor = 0x1af4,
                                .subsystem = 0x1100};

void write(PciConfigSpace& config, std::uint64_t offset, std::uint64_t value, std::size_t size) {
  std::vector<std::byte> data(size);
  store_le(data, value);
  config.write(offset, data);
}

TEST(PciConfigSpace, ShowsItsIdentityAndKeepsIt) {
  PciConfigSpace config(kIdentity);
  for (std::uint64_t offset = 0; offset < kPciConfigBytes; offset += 4) write(config, offset, ~0U, 4);
  EXPECT_EQ(config.get(0x00, 4), 0x1042'1af4U);
  EXPECT_EQ(config.get(0x08, 4), 0x0180'0001U);
  EXPECT_EQ(config.get(0x2c, 4), 0x1100'1af4U);
  EXPECT_EQ(config.get(pci::kCommand, 4), 0x0406U) << "memory, bus master, interrupt disable; no status bit";
  EXPECT_EQ(config.get(pci::kFirstBar, 4), 0U) << "no BAR, nothing to write";
  EXPECT_EQ(config.get(pci::kInterruptLine, 4), 0xffU) << "no interrupt pin";
}

TEST(PciConfigSpace, ABarTellsItsSizeToWhoeverWritesOnes) {
  PciConfigSpace config(kIdentity);
  ASSERT_TRUE(config.add_bar({.index = 0, .bytes = 0x8000, .width = BarWidth::Bits64}));
  ASSERT_TRUE(config.add_bar({.index = 2, .bytes = 0x1000, .prefetch = BarPrefetch::Yes}));
  config.place_bar(0, 0xc001'0000);
  EXPECT_EQ(config.get(0x10, 8), 0xc001'0004U);
  write(config, 0x10, 0xffff'ffff, 4);
  write(config, 0x14, 0xffff'ffff, 4);
  EXPECT_EQ(config.get(0x10, 8), 0xffff'ffff'ffff'8004U);
  write(config, 0x18, 0xffff'ffff, 4);
  EXPECT_EQ(config.get(0x18, 4), 0xffff'f008U);
}

TEST(PciConfigSpace, ABarAnswersOnlyWhileMemoryIsDecoded) {
  PciConfigSpace config(kIdentity);
  ASSERT_TRUE(config.add_bar({.index = 0, .bytes = 0x1000, .width = BarWidth::Bits64}));
  config.place_bar(0, 0x12'c000'0000);
  EXPECT_EQ(config.bar_address(0), std::nullopt);
  write(config, pci::kCommand, pci::kCommandMemory, 2);
  EXPECT_EQ(config.bar_address(0), 0x12'c000'0000U);
  EXPECT_EQ(config.bar_address(1), std::nullopt) << "the upper half is no BAR";
}

TEST(PciConfigSpace, PortsAreDecodedByThemselves) {
  PciConfigSpace config(kIdentity);
  write(config, pci::kCommand, pci::kCommandPorts, 2);
  EXPECT_EQ(config.get(pci::kCommand, 2), 0U) << "it has none";
  ASSERT_TRUE(config.add_bar({.index = 1, .bytes = 8, .space = BarSpace::Ports}));
  config.place_bar(1, 0xc128);
  EXPECT_EQ(config.get(0x14, 4), 0xc129U);
  EXPECT_EQ(config.bar_address(1), std::nullopt);
  write(config, pci::kCommand, pci::kCommandMemory, 2);
  EXPECT_EQ(config.bar_address(1), std::nullopt) << "memory is decoded";
  write(config, pci::kCommand, pci::kCommandPorts, 2);
  EXPECT_EQ(config.bar_address(1), 0xc128U);
  write(config, 0x14, 0xffff'ffff, 4);
  EXPECT_EQ(config.get(0x14, 4), 0xffff'fff9U);
}

TEST(PciConfigSpace, RefusesBarsThatCannotBe) {
  PciConfigSpace config(kIdentity);
  const auto kind = [&config](const PciBar& bar) { return config.add_bar(bar).error().kind(); };
  EXPECT_EQ(kind({.index = 6, .bytes = 0x1000}), uvm::ErrorKind::Invalid);
  EXPECT_EQ(kind({.index = 5, .bytes = 0x1000, .width = BarWidth::Bits64}), uvm::ErrorKind::Invalid);
  EXPECT_EQ(kind({.index = 0, .bytes = 0x3000}), uvm::ErrorKind::Invalid);
  EXPECT_EQ(kind({.index = 0, .bytes = 8}), uvm::ErrorKind::Invalid);
  EXPECT_EQ(kind({.index = 0, .bytes = std::uint64_t{1} << 32}), uvm::ErrorKind::Invalid);
  EXPECT_EQ(kind({.index = 0, .bytes = 2, .space = BarSpace::Ports}), uvm::ErrorKind::Invalid);
  EXPECT_EQ(kind({.index = 0, .bytes = 512, .space = BarSpace::Ports}), uvm::ErrorKind::Invalid);
  EXPECT_EQ(kind({.index = 0, .bytes = 8, .space = BarSpace::Ports, .width = BarWidth::Bits64}),
            uvm::ErrorKind::Invalid);
  ASSERT_TRUE(config.add_bar({.index = 0, .bytes = 0x1000, .width = BarWidth::Bits64}));
  EXPECT_EQ(kind({.index = 1, .bytes = 0x1000}), uvm::ErrorKind::Busy);
}

TEST(PciConfigSpace, CapabilitiesAreAChain) {
  PciConfigSpace config(kIdentity);
  EXPECT_EQ(config.get(pci::kStatus, 2), 0U);
  const std::vector<std::byte> body(3, std::byte{0x5a});
  const auto first = config.add_capability(0x09, body);
  const auto second = config.add_capability(0x11, body);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(config.get(pci::kStatus, 2), pci::kStatusCapabilities);
  EXPECT_EQ(config.get(pci::kCapabilities, 1), *second);
  EXPECT_EQ(config.get(*second, 2), 0x11U | *first << 8);
  EXPECT_EQ(config.get(*first, 2), 0x09U) << "the last one";
  EXPECT_EQ(config.get(*first + 2, 3), 0x5a'5a5aU);
  EXPECT_EQ(*second % 4, 0U);
  const std::vector<std::byte> much(200);
  EXPECT_EQ(config.add_capability(0x09, much).error().kind(), uvm::ErrorKind::NoMemory);
}

TEST(PciConfigSpace, ResetBringsBackWhatWasSealed) {
  PciConfigSpace config(kIdentity);
  ASSERT_TRUE(config.add_bar({.index = 0, .bytes = 0x1000}));
  config.place_bar(0, 0xc000'0000);
  config.seal();
  write(config, pci::kCommand, 2, 2);
  write(config, 0x10, 0xd000'0000, 4);
  config.reset();
  EXPECT_EQ(config.get(pci::kCommand, 2), 0U);
  EXPECT_EQ(config.get(0x10, 4), 0xc000'0000U);
}

/// Reads as its tag and remembers the offset.
class Tagged : public BusDevice {
 public:
  explicit Tagged(std::uint8_t tag) : tag_(tag) {}
  void read(std::uint64_t offset, std::span<std::byte> data) override {
    last = offset;
    for (std::byte& byte : data) byte = std::byte{tag_};
  }
  void write(std::uint64_t offset, std::span<const std::byte> /*data*/) override { last = offset; }
  std::uint64_t last = 0;

 private:
  std::uint8_t tag_;
};

struct PciBarsTest : testing::Test {
  static constexpr std::uint64_t kWindow = 0xc000'0000;
  PciBarsTest() {
    EXPECT_TRUE(bars.add(config, {.index = 0, .bytes = 0x2000, .width = BarWidth::Bits64}, device));
    bars.set_on_moved([this](unsigned bar, std::optional<std::uint64_t> gpa) {
      EXPECT_EQ(bar, 0U);
      moves.push_back(gpa);
    });
    config.seal();
  }
  void decode(bool on) { set(pci::kCommand, on ? pci::kCommandMemory : 0, 2); }
  void set(std::uint64_t offset, std::uint64_t value, std::size_t size) {
    write(config, offset, value, size);
    bars.follow(config);
  }
  std::uint64_t read(std::uint64_t gpa) { return test::read(window, gpa - kWindow, 4); }

  Tagged device{0x11};
  PciWindow window{kWindow, 0x10'0000};
  PciConfigSpace config{kIdentity};
  PciBars bars{window};
  std::vector<std::optional<std::uint64_t>> moves;
};

TEST_F(PciBarsTest, ABarAnswersWhereItIsPut) {
  EXPECT_EQ(read(kWindow), 0xffff'ffffU) << "not decoding";
  decode(true);
  EXPECT_EQ(read(kWindow + 0x1ffc), 0x1111'1111U);
  EXPECT_EQ(device.last, 0x1ffcU);
  EXPECT_EQ(read(kWindow + 0x1ffe), 0xffff'ffffU) << "leaves the BAR";
  set(0x10, kWindow + 0x4'0000, 4);
  EXPECT_EQ(read(kWindow), 0xffff'ffffU);
  EXPECT_EQ(read(kWindow + 0x4'0010), 0x1111'1111U);
  EXPECT_EQ(device.last, 0x10U);
  decode(false);
  EXPECT_EQ(read(kWindow + 0x4'0010), 0xffff'ffffU);
  EXPECT_EQ(moves, (std::vector<std::optional<std::uint64_t>>{kWindow, kWindow + 0x4'0000, std::nullopt}));
}

TEST_F(PciBarsTest, OutsideTheWindowItAnswersNowhere) {
  decode(true);
  for (const std::uint64_t place :
       {std::uint64_t{0x10'0000}, kWindow + 0xf'f000 + 0x1000, std::uint64_t{0}}) {
    set(0x10, place, 8);
    EXPECT_EQ(read(kWindow), 0xffff'ffffU);
    EXPECT_EQ(moves.back(), std::nullopt);
  }
  set(0x10, kWindow, 8);
  EXPECT_EQ(read(kWindow), 0x1111'1111U);
}

TEST_F(PciBarsTest, PortsAnswerInAWindowOfTheirOwn) {
  Tagged serial(0x33);
  EXPECT_EQ(bars.add(config, {.index = 2, .bytes = 8, .space = BarSpace::Ports}, serial).error().kind(),
            uvm::ErrorKind::Unsupported);
  PciWindow ports(0xc000, 0x100, PciWindow::Grain::Port);
  PciConfigSpace other(kIdentity);
  PciBars both(window, &ports);
  ASSERT_TRUE(both.add(other, {.index = 2, .bytes = 8, .space = BarSpace::Ports}, serial));
  EXPECT_EQ(*ports.allocate(4), 0xc008U) << "no page of its own";
  write(other, pci::kCommand, pci::kCommandPorts, 2);
  both.follow(other);
  EXPECT_EQ(test::read(ports, 5, 1), 0x33U);
  EXPECT_EQ(serial.last, 5U);
  EXPECT_EQ(test::read(ports, 8, 1), 0xffU);
  write(other, 0x18, 0xc040, 4);
  both.follow(other);
  EXPECT_EQ(test::read(ports, 5, 1), 0xffU);
  EXPECT_EQ(test::read(ports, 0x47, 1), 0x33U);
  write(other, 0x18, 0x3f8, 4);
  both.follow(other);
  EXPECT_EQ(test::read(ports, 0x47, 1), 0xffU) << "another device's ports are not hidden";
}

TEST_F(PciBarsTest, OfTwoAtOnePlaceTheFirstAnswers) {
  Tagged other(0x22);
  decode(true);
  ASSERT_TRUE(window.place(kWindow, 0x1000, other));
  EXPECT_EQ(read(kWindow), 0x1111'1111U);
  decode(false);
  EXPECT_EQ(read(kWindow), 0x2222'2222U);
  window.remove(kWindow, other);
  EXPECT_EQ(read(kWindow), 0xffff'ffffU);
}

TEST_F(PciBarsTest, PlacesAreAlignedAndEndWithTheWindow) {
  EXPECT_EQ(*window.allocate(0x10), kWindow + 0x2000) << "a page of its own";
  EXPECT_EQ(*window.allocate(0x8000), kWindow + 0x8000);
  EXPECT_EQ(window.allocate(0x10'0000).error().kind(), uvm::ErrorKind::NoMemory);
  EXPECT_EQ(window.allocate(std::uint64_t{1} << 63).error().kind(), uvm::ErrorKind::NoMemory);
  EXPECT_EQ(*window.allocate(0x8'0000), kWindow + 0x8'0000);
  EXPECT_EQ(window.allocate(0x1000).error().kind(), uvm::ErrorKind::NoMemory);
}

}  // namespace pci_config_space_test
}  // namespace vmm::devices
