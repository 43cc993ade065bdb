#include "vmm/devices/ioapic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "tests/vmm/devices/fakes.h"

namespace vmm::devices {
namespace ioapic_test {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr std::uint32_t kLevelBits = 0xc000;  // what a level-triggered message carries beside its vector
constexpr std::uint32_t kMasked = 1 << 16;
constexpr std::uint32_t kLevel = 1 << 15;
constexpr std::uint32_t kRemoteIrr = 1 << 14;

struct IoApicTest : testing::Test {
  IoApicTest() {
    ioapic.set_on_routes_changed([this] { ++route_changes; });
  }
  void set(std::uint8_t index, std::uint32_t value) {
    test::write(ioapic, IoApic::kSelectOffset, index, 4);
    test::write(ioapic, IoApic::kWindowOffset, value, 4);
  }
  std::uint32_t get(std::uint8_t index) {
    test::write(ioapic, IoApic::kSelectOffset, index, 4);
    return static_cast<std::uint32_t>(test::read(ioapic, IoApic::kWindowOffset, 4));
  }
  void program(unsigned pin, std::uint32_t low, std::uint32_t destination = 0) {
    set(static_cast<std::uint8_t>(0x11 + 2 * pin), destination << 24);
    set(static_cast<std::uint8_t>(0x10 + 2 * pin), low);
  }
  std::uint32_t low(unsigned pin) { return get(static_cast<std::uint8_t>(0x10 + 2 * pin)); }

  test::FakeMsi msi;
  IoApic ioapic{msi};
  int route_changes = 0;
};

TEST_F(IoApicTest, IdentityAndPowerOnState) {
  EXPECT_EQ(get(1), 0x0017'0020U);
  set(0, 0x0500'0000);
  EXPECT_EQ(get(0), 0x0500'0000U);
  EXPECT_EQ(get(2), 0x0500'0000U);
  for (unsigned pin = 0; pin < IoApic::kPins; ++pin) EXPECT_EQ(low(pin), kMasked);
  EXPECT_EQ(get(0x0f), 0U);
  EXPECT_EQ(get(0x40), 0U) << "past the table";
  for (const auto& route : ioapic.routes()) EXPECT_FALSE(route);
}

TEST_F(IoApicTest, EntriesKeepWhatTheGuestMayWrite) {
  program(3, 0xffff'ffff, 0xff);
  EXPECT_EQ(low(3), 0x0001'afffU);
  EXPECT_EQ(get(0x17), 0xff00'0000U);
}

TEST_F(IoApicTest, AnEdgePinSendsOneMessageARise) {
  program(4, 0x31, 2);
  IrqLine& line = ioapic.line(4);
  line.set_level(Level::High);
  line.set_level(Level::High);
  EXPECT_THAT(msi.sent, ElementsAre(Pair(0xfee0'2000, 0x31)));
  line.set_level(Level::Low);
  line.pulse();
  EXPECT_EQ(msi.sent.size(), 2U);
  EXPECT_EQ(low(4), 0x31U) << "no remote IRR";
}

TEST_F(IoApicTest, DestinationModeAndDeliveryModeReachTheMessage) {
  program(5, 0x0942, 0x0f);  // logical, lowest priority
  ioapic.line(5).pulse();
  EXPECT_THAT(msi.sent, ElementsAre(Pair(0xfee0'f004, 0x142)));
}

TEST_F(IoApicTest, ARiseBehindTheMaskWaitsWhileTheLineIsUp) {
  program(4, kMasked | 0x31);
  ioapic.line(4).set_level(Level::High);
  EXPECT_THAT(msi.sent, IsEmpty());
  program(4, 0x31);
  EXPECT_EQ(msi.sent.size(), 1U);
  program(4, kMasked | 0x31);
  program(4, 0x31);
  EXPECT_EQ(msi.sent.size(), 1U) << "served once";
  program(4, kMasked | 0x31);
  ioapic.line(4).set_level(Level::Low);
  ioapic.line(4).pulse();
  program(4, 0x31);
  EXPECT_EQ(msi.sent.size(), 1U) << "gone by then";
}

TEST_F(IoApicTest, ALevelPinWaitsForItsEnd) {
  program(9, kLevel | 0x51, 1);
  IrqLine& line = ioapic.line(9);
  line.set_level(Level::High);
  EXPECT_THAT(msi.sent, ElementsAre(Pair(0xfee0'1000, kLevelBits | 0x51)));
  EXPECT_EQ(low(9), kLevel | kRemoteIrr | 0x51);
  line.set_level(Level::Low);
  line.set_level(Level::High);
  EXPECT_EQ(msi.sent.size(), 1U) << "remote IRR holds it";
  ioapic.on_eoi(0x52);
  EXPECT_EQ(msi.sent.size(), 1U) << "somebody else's vector";
  ioapic.on_eoi(0x51);
  EXPECT_EQ(msi.sent.size(), 2U) << "still up: again";
  line.set_level(Level::Low);
  ioapic.on_eoi(0x51);
  EXPECT_EQ(msi.sent.size(), 2U);
  EXPECT_EQ(low(9), kLevel | 0x51);
}

/// A device whose line the host has masked lowers it in the callback, and raises it when it wants more.
TEST_F(IoApicTest, ADeviceHearsOfAnEndBeforeItsPinSendsAgain) {
  std::vector<unsigned> ended;
  bool wants_more = true;
  ioapic.set_on_level_end([&](unsigned pin) {
    ended.push_back(pin);
    ioapic.line(pin).set_level(Level::Low);
    if (std::exchange(wants_more, false)) ioapic.line(pin).set_level(Level::High);
  });
  program(17, kLevel | 0x41);
  program(18, kLevel | 0x42);
  program(4, 0x41);  // an edge pin of the same vector
  ioapic.line(17).set_level(Level::High);
  ioapic.line(18).set_level(Level::High);
  ioapic.line(4).pulse();
  EXPECT_EQ(msi.sent.size(), 3U);
  ioapic.on_eoi(0x41);
  EXPECT_THAT(ended, ElementsAre(17U));
  EXPECT_EQ(msi.sent.size(), 4U) << "once for the line that came up again";
  ioapic.on_eoi(0x41);
  EXPECT_THAT(ended, ElementsAre(17U, 17U));
  EXPECT_EQ(msi.sent.size(), 4U) << "the line is down";
  ioapic.on_eoi(0x41);
  EXPECT_EQ(ended.size(), 2U) << "nothing was being served";
}

TEST_F(IoApicTest, TheEndOfAMaskedPinCounts) {
  program(9, kLevel | 0x51);
  ioapic.line(9).set_level(Level::High);
  program(9, kLevel | kMasked | 0x51);
  EXPECT_TRUE(ioapic.routes()[9]) << "else KVM would not report the end";
  ioapic.on_eoi(0x51);
  EXPECT_EQ(msi.sent.size(), 1U);
  program(9, kLevel | 0x51);
  EXPECT_EQ(msi.sent.size(), 2U);
}

TEST_F(IoApicTest, EoiRegisterAndTheTriggerTrickClearRemoteIrr) {
  program(9, kLevel | 0x51);
  ioapic.line(9).set_level(Level::High);
  ioapic.line(9).set_level(Level::Low);
  test::write(ioapic, IoApic::kEoiOffset, 0x51, 4);
  EXPECT_EQ(low(9) & kRemoteIrr, 0U);
  ioapic.line(9).set_level(Level::High);
  EXPECT_NE(low(9) & kRemoteIrr, 0U);
  program(9, kMasked | 0x51);
  EXPECT_EQ(low(9) & kRemoteIrr, 0U);
  program(9, kLevel | 0x51);
  EXPECT_EQ(msi.sent.size(), 3U);
}

TEST_F(IoApicTest, RoutesChangeOnlyWhenUnmaskedAndDifferent) {
  program(4, kMasked | 0x31);
  EXPECT_EQ(route_changes, 0);
  program(4, 0x31);
  EXPECT_EQ(route_changes, 1);
  ASSERT_TRUE(ioapic.routes()[4]);
  EXPECT_EQ(ioapic.routes()[4]->data, 0x31U);
  program(4, kMasked | 0x31);
  program(4, 0x31);
  EXPECT_EQ(route_changes, 1);
  program(4, 0x32);
  EXPECT_EQ(route_changes, 2);
  program(4, 0x0700);
  EXPECT_FALSE(ioapic.routes()[4]) << "ExtINT has no message";
  ioapic.line(4).pulse();
  EXPECT_THAT(msi.sent, IsEmpty());
}

TEST_F(IoApicTest, NothingIsSentBeforeTheRouteIsKnown) {
  ioapic.set_on_routes_changed([this] {
    ++route_changes;
    EXPECT_THAT(msi.sent, IsEmpty());
    ioapic.line(9).set_level(Level::High);  // a device on another thread, just now
    EXPECT_THAT(msi.sent, IsEmpty());
  });
  program(9, kLevel | 0x51);
  EXPECT_EQ(route_changes, 1);
  EXPECT_EQ(msi.sent.size(), 1U);
}

TEST_F(IoApicTest, RefusedMessagesAreCounted) {
  msi.refuse = true;
  program(4, 0x31);
  ioapic.line(4).pulse();
  EXPECT_EQ(ioapic.delivery_failures(), 1U);
}

TEST_F(IoApicTest, ResetMasksAndForgets) {
  program(9, kLevel | 0x51);
  ioapic.line(9).set_level(Level::High);
  ioapic.reset();
  EXPECT_EQ(low(9), kMasked);
  EXPECT_FALSE(ioapic.routes()[9]);
  program(9, kLevel | 0x61);
  EXPECT_EQ(msi.sent.back().second, kLevelBits | 0x61) << "the line had stayed up";
}

TEST_F(IoApicTest, NarrowAccesses) {
  test::write(ioapic, IoApic::kSelectOffset, 1, 1);
  EXPECT_EQ(test::read(ioapic, IoApic::kSelectOffset, 1), 1U);
  EXPECT_EQ(test::read(ioapic, IoApic::kWindowOffset + 2, 1), 0x17U);
  test::write(ioapic, IoApic::kSelectOffset, 0x10, 1);
  test::write(ioapic, IoApic::kWindowOffset, 0x31, 1);
  EXPECT_EQ(low(0), kMasked) << "a byte written to the window is not a register";
}

}  // namespace ioapic_test
}  // namespace vmm::devices
