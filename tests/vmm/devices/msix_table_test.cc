#include "vmm/devices/msix_table.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/vmm/devices/fakes.h"

namespace vmm::devices {
namespace msix_table_test {

constexpr std::uint16_t kEnable = 0x8000;
constexpr std::uint16_t kFunctionMask = 0x4000;

struct MsixTableTest : testing::Test {
  MsixTableTest() {
    EXPECT_TRUE(table.add_capability(config, {.bar = 2, .table = 0x1000, .pending = 0x2000}));
    capability = config.get(pci::kCapabilities, 1);
  }
  void control(std::uint16_t value) {
    std::vector<std::byte> data(2);
    store_le(data, value);
    config.write(capability + 2, data);
    table.follow(config);
  }
  void set(std::uint64_t offset, std::uint64_t value, std::size_t size = 4) {
    std::vector<std::byte> data(size);
    store_le(data, value);
    table.write_table(offset, data);
  }
  std::uint64_t get(std::uint64_t offset, std::size_t size = 4) {
    std::vector<std::byte> data(size);
    table.read_table(offset, data);
    return load_le(data);
  }
  std::uint64_t pending() {
    std::vector<std::byte> data(8);
    table.read_pending(0, data);
    return load_le(data);
  }
  /// Message 0xfee00000 with `data`, unmasked.
  void program(unsigned vector, std::uint32_t data) {
    set(vector * 16, 0xfee0'0000);
    set(vector * 16 + 8, data);
    set(vector * 16 + 12, 0);
  }

  test::FakeMsi sink;
  test::FakeMsiEvents events;
  PciConfigSpace config;
  MsixTable table{sink, 3};
  std::uint64_t capability = 0;
};

TEST_F(MsixTableTest, TheCapabilitySaysHowManyAndWhere) {
  EXPECT_EQ(config.get(capability, 1), 0x11U);
  EXPECT_EQ(config.get(capability + 2, 2), 2U) << "three vectors";
  EXPECT_EQ(config.get(capability + 4, 4), 0x1002U);
  EXPECT_EQ(config.get(capability + 8, 4), 0x2002U);
  control(0xffff);
  EXPECT_EQ(config.get(capability + 2, 2), 0xc002U) << "two bits are the guest's";
}

TEST_F(MsixTableTest, EntriesStartMaskedAndKeepWhatIsWritten) {
  EXPECT_EQ(get(12), 1U);
  set(0, 0x0000'0001'fee0'1003, 8);
  set(8, 0xffff'ffff'0000'4041, 8);
  EXPECT_EQ(get(0, 8), 0x0000'0001'fee0'1000U);
  EXPECT_EQ(get(8, 8), 0x0000'0001'0000'4041U);
  set(9, 0x12, 1);
  EXPECT_EQ(get(8), 0x1241U);
  EXPECT_EQ(get(3 * 16, 8), 0U) << "behind the end";
  set(3 * 16 - 4, ~0ULL, 8);
  EXPECT_EQ(get(3 * 16 - 4), 1U);
}

TEST_F(MsixTableTest, RaisesWhatIsUnmaskedAndKeepsTheRest) {
  program(1, 0x41);
  table.raise(1);
  EXPECT_TRUE(sink.sent.empty()) << "MSI-X is off";
  EXPECT_EQ(pending(), 2U);
  control(kEnable | kFunctionMask);
  EXPECT_TRUE(sink.sent.empty());
  control(kEnable);
  ASSERT_EQ(sink.sent.size(), 1U);
  EXPECT_EQ(sink.sent[0], std::pair(std::uint64_t{0xfee0'0000}, std::uint32_t{0x41}));
  EXPECT_EQ(pending(), 0U);
  table.raise(1);
  EXPECT_EQ(sink.sent.size(), 2U);
  set(16 + 12, 1);
  table.raise(1);
  table.raise(1);
  EXPECT_EQ(sink.sent.size(), 2U);
  EXPECT_EQ(pending(), 2U);
  set(16 + 12, 0);
  EXPECT_EQ(sink.sent.size(), 3U) << "many that were held are one";
  table.raise(3);
  table.raise(0xffff'ffff);
  EXPECT_EQ(sink.sent.size(), 3U);
}

TEST_F(MsixTableTest, AnEventIsHeldByEveryMask) {
  ASSERT_TRUE(table.back_by_events(events));
  EXPECT_EQ(table.event(3), nullptr);
  program(0, 0x31);
  EXPECT_FALSE(events.delivered[0]) << "MSI-X is off";
  ASSERT_EQ(::eventfd_write(table.event(0)->get(), 1), 0);
  EXPECT_EQ(pending(), 1U);
  control(kEnable);
  EXPECT_EQ(events.delivered[0], (MsiMessage{0xfee0'0000, 0x31}));
  EXPECT_FALSE(events.delivered[1]) << "its entry is masked";
  EXPECT_EQ(pending(), 0U);
  set(8, 0x32);
  EXPECT_EQ(events.delivered[0], (MsiMessage{0xfee0'0000, 0x32}));
  control(kEnable | kFunctionMask);
  EXPECT_FALSE(events.delivered[0]);
  control(kEnable);
  set(12, 1);
  EXPECT_FALSE(events.delivered[0]);
  table.raise(0);
  EXPECT_EQ(pending(), 1U);
  EXPECT_TRUE(sink.sent.empty()) << "a vector with an event has no other way";
}

TEST_F(MsixTableTest, ResetMasksAndForgets) {
  ASSERT_TRUE(table.back_by_events(events));
  program(0, 0x50);
  program(2, 0x51);
  control(kEnable);
  set(2 * 16 + 12, 1);
  table.raise(2);
  EXPECT_EQ(pending(), 4U);
  table.reset();
  EXPECT_EQ(pending(), 0U);
  EXPECT_EQ(get(2 * 16, 8), 0U);
  EXPECT_EQ(get(2 * 16 + 12), 1U);
  EXPECT_EQ(get(12), 1U) << "one that was not masked is";
  EXPECT_FALSE(events.delivered[0]);
}

TEST_F(MsixTableTest, AnyAccessIsHarmless) {
  ASSERT_TRUE(table.back_by_events(events));
  std::mt19937 random(5);
  for (int i = 0; i < 100'000; ++i) {
    const std::size_t size = std::size_t{1} << random() % 4;
    const std::uint64_t offset = random() % 80;
    switch (random() % 5) {
      case 0:
        control(static_cast<std::uint16_t>(random()));
        break;
      case 1:
        table.raise(random() % 8);
        break;
      case 2:
        static_cast<void>(get(offset, size));
        static_cast<void>(pending());
        break;
      default:
        set(offset, random(), size);
        break;
    }
  }
  EXPECT_EQ(table.vectors(), 3U);
}

}  // namespace msix_table_test
}  // namespace vmm::devices
