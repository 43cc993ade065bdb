#include "vmm/machine/bus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "tests/vmm/devices/fakes.h"
#include "uvm/base/range.h"

namespace vmm {
namespace bus_test {

using testing::HasSubstr;

/// Reads as its tag; remembers what it was asked.
class Probe : public BusDevice {
 public:
  explicit Probe(std::uint8_t value = 0) : tag(value) {}
  void read(std::uint64_t offset, std::span<std::byte> data) override {
    accesses.emplace_back(offset, data.size());
    for (std::byte& byte : data) byte = std::byte{tag};
  }
  void write(std::uint64_t offset, std::span<const std::byte> data) override {
    accesses.emplace_back(offset, data.size());
    written.push_back(devices::load_le(data));
  }
  std::uint8_t tag;
  std::vector<std::pair<std::uint64_t, std::size_t>> accesses;
  std::vector<std::uint64_t> written;
};

std::uint64_t read(Bus& bus, BusSpace space, std::uint64_t address, std::size_t size) {
  std::vector<std::byte> data(size);
  bus.read(space, address, data);
  return devices::load_le(data);
}

void write(Bus& bus, BusSpace space, std::uint64_t address, std::uint64_t value, std::size_t size) {
  std::vector<std::byte> data(size);
  devices::store_le(data, value);
  bus.write(space, address, data);
}

TEST(Bus, RefusesAnOverlapAndNamesBoth) {
  Bus bus;
  Probe a;
  ASSERT_TRUE(bus.add(BusSpace::Io, "serial", 0x3f8, 8, a));
  for (const auto& [begin, size] : {std::pair{0x3ffU, 1U}, {0x3f8U, 8U}, {0x3f0U, 9U}, {0x300U, 0x200U}}) {
    const uvm::Status status = bus.add(BusSpace::Io, "modem", begin, size, a);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind(), uvm::ErrorKind::Invalid);
    EXPECT_THAT(status.error().text(), HasSubstr("'serial' at 0x3f8+0x8"));
    EXPECT_THAT(status.error().text(), HasSubstr("'modem' at " + uvm::hex(begin) + "+" + uvm::hex(size)));
  }
  EXPECT_TRUE(bus.add(BusSpace::Io, "below", 0x3f0, 8, a));
  EXPECT_TRUE(bus.add(BusSpace::Io, "above", 0x400, 8, a));
  EXPECT_TRUE(bus.add(BusSpace::Mmio, "other space", 0x3f8, 8, a));
}

TEST(Bus, RefusesWhatIsNoRange) {
  Bus bus;
  Probe a;
  EXPECT_FALSE(bus.add(BusSpace::Io, "empty", 0x10, 0, a));
  EXPECT_FALSE(bus.add(BusSpace::Io, "long", 0xffff, 2, a));
  EXPECT_FALSE(bus.add(BusSpace::Mmio, "wraps", ~std::uint64_t{0}, 2, a));
  EXPECT_FALSE(bus.add(BusSpace::Mmio, "high", uvm::kAddressLimit - 1, 2, a));
  EXPECT_TRUE(bus.add(BusSpace::Io, "last port", 0xffff, 1, a));
  bus.seal();
  EXPECT_FALSE(bus.add(BusSpace::Io, "late", 0x10, 1, a));
}

TEST(Bus, DispatchesByRangeWithTheOffsetAskedFor) {
  Bus bus;
  Probe data(1);
  Probe mmio(2);
  ASSERT_TRUE(bus.add(BusSpace::Io, "command", 0x64, 1, data, 4));
  ASSERT_TRUE(bus.add(BusSpace::Io, "data", 0x60, 1, data));
  ASSERT_TRUE(bus.add(BusSpace::Mmio, "chip", 0xfec0'0000, 0x1000, mmio));
  bus.seal();
  EXPECT_EQ(read(bus, BusSpace::Io, 0x60, 1), 1U);
  EXPECT_EQ(read(bus, BusSpace::Io, 0x64, 1), 1U);
  write(bus, BusSpace::Mmio, 0xfec0'0010, 0x12345678, 4);
  EXPECT_THAT(data.accesses, testing::ElementsAre(testing::Pair(0, 1), testing::Pair(4, 1)));
  EXPECT_THAT(mmio.accesses, testing::ElementsAre(testing::Pair(0x10, 4)));
  EXPECT_THAT(mmio.written, testing::ElementsAre(0x12345678));
}

TEST(Bus, NobodyReadsAsOnesAndIsCounted) {
  Bus bus;
  std::vector<UnownedAccess> seen;
  bus.set_observer([&](const UnownedAccess& access) { seen.push_back(access); });
  bus.seal();
  for (const std::size_t size : {1U, 2U, 4U, 8U}) {
    const std::uint64_t ones = size == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << size * 8) - 1;
    EXPECT_EQ(read(bus, BusSpace::Mmio, 0x1000, size), ones);
  }
  for (int i = 0; i < 1000; ++i) write(bus, BusSpace::Io, 0x1234, 0xabcd, 2);
  EXPECT_EQ(bus.unowned(BusSpace::Mmio, BusAccess::Read), 4U);
  EXPECT_EQ(bus.unowned(BusSpace::Io, BusAccess::Write), 1000U);
  EXPECT_EQ(bus.unowned(BusSpace::Io, BusAccess::Read), 0U);
  ASSERT_EQ(seen.size(), 3U + 10U) << "reads 1, 2, 4; writes 1, 2, 4 ... 512";
  EXPECT_EQ(seen[3].space, BusSpace::Io);
  EXPECT_EQ(seen[3].access, BusAccess::Write);
  EXPECT_EQ(seen[3].address, 0x1234U);
  EXPECT_EQ(seen[3].size, 2U);
  EXPECT_EQ(seen[3].value, 0xabcdU);
  EXPECT_EQ(seen.back().count, 512U);
}

TEST(Bus, CutsAnAccessThatStraddlesAnEnd) {
  Bus bus;
  Probe low(0x11);
  Probe high(0x22);
  ASSERT_TRUE(bus.add(BusSpace::Io, "low", 0x10, 4, low));
  ASSERT_TRUE(bus.add(BusSpace::Io, "high", 0x14, 1, high));
  bus.seal();
  EXPECT_EQ(read(bus, BusSpace::Io, 0x12, 4), 0xff22'1111U);
  EXPECT_THAT(low.accesses, testing::ElementsAre(testing::Pair(2, 1), testing::Pair(3, 1)));
  EXPECT_EQ(read(bus, BusSpace::Io, 0x0e, 4), 0x1111'ffffU);
  write(bus, BusSpace::Io, 0x13, 0xddccbbaa, 4);
  EXPECT_THAT(low.written, testing::ElementsAre(0xaa));
  EXPECT_THAT(high.written, testing::ElementsAre(0xbb));
  EXPECT_EQ(bus.unowned(BusSpace::Io, BusAccess::Read), 2U);
  EXPECT_EQ(bus.unowned(BusSpace::Io, BusAccess::Write), 1U);
}

TEST(Bus, OddSizesAndTheEndOfSpaceAreSingleBytes) {
  Bus bus;
  Probe probe(0x33);
  ASSERT_TRUE(bus.add(BusSpace::Mmio, "chip", 0x1000, 0x100, probe));
  ASSERT_TRUE(bus.add(BusSpace::Mmio, "zero", 0, 16, probe));
  bus.seal();
  EXPECT_EQ(read(bus, BusSpace::Mmio, 0x1000, 3), 0x333333U);
  for (const auto& access : probe.accesses) EXPECT_EQ(access.second, 1U);
  EXPECT_EQ(read(bus, BusSpace::Mmio, ~std::uint64_t{0} - 1, 4), 0xffff'ffffU) << "no wrap to address 0";
  EXPECT_EQ(read(bus, BusSpace::Mmio, 0x1000, 0), 0U);
}

TEST(Bus, EveryAddressFindsItsOwnerWhateverWasHitBefore) {
  Bus bus;
  std::vector<std::unique_ptr<Probe>> probes;
  for (std::uint64_t i = 0; i < 40; ++i) {
    probes.push_back(std::make_unique<Probe>(static_cast<std::uint8_t>(i)));
    ASSERT_TRUE(bus.add(BusSpace::Io, "p" + std::to_string(i), (39 - i) * 16, 8, *probes.back()));
  }
  bus.seal();
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t port = random() % 700;
    const bool owned = port < 640 && port % 16 < 8;
    EXPECT_EQ(read(bus, BusSpace::Io, port, 1), owned ? 39 - port / 16 : 0xff) << port;
  }
}

}  // namespace bus_test
}  // namespace vmm
