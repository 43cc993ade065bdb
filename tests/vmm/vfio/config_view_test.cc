// What of a device's configuration space a guest sees and changes. The device is an array here.
#include "vmm/vfio/config_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "tests/vmm/devices/fakes.h"
#include "vmm/devices/registers.h"
#include "vmm/vfio/bar_windows.h"
#include "vmm/vfio/msi_capability.h"

namespace vmm::vfio {
namespace config_view_test {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// All bytes can be written; remembers the writes.
class ArrayConfig : public HostConfig {
 public:
  ArrayConfig() {
    set(0x00, 0x1234, 2);
    set(0x06, 0x0010, 2);       // capabilities
    set(0x0e, 0x80, 1);         // several functions
    set(0x10, 0xfeb0'0004, 4);  // a BAR of 64 bits
    set(0x18, 0xe001, 4);       // ports
    set(0x30, 0xfec0'0001, 4);  // ROM
    set(0x34, 0x40, 1);
    set(0x3d, 1, 1);             // INTA
    set(0x40, 0x5001, 2);        // power, then
    set(0x44, 0x0103, 2);        // asleep; and a bit of the device's
    set(0x50, 0x7005, 2);        // MSI, then
    set(0x52, 0x0186, 2);        // 64 bits, masks, 8 messages
    set(0x70, 0x0010, 2);        // PCI Express, the last
    set(0x78, 0x1111, 2);        // a register of it
    set(0x100, 0x0001'0001, 4);  // extended: error reporting
  }
  void set(std::uint64_t at, std::uint64_t value, std::size_t bytes) {
    devices::store_le(std::span(bytes_).subspan(at, bytes), value);
  }
  uvm::Status read(std::uint64_t offset, std::span<std::byte> data) override {
    if (is_gone) return uvm::Error(uvm::ErrorKind::System, "gone");
    std::ranges::copy(std::span(bytes_).subspan(offset, data.size()), data.begin());
    return uvm::ok();
  }
  uvm::Status write(std::uint64_t offset, std::span<const std::byte> data) override {
    writes.push_back({offset, data.size()});
    std::ranges::copy(data, bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
    return uvm::ok();
  }

  std::vector<MappableArea> writes;  // places and sizes
  bool is_gone = false;

 private:
  std::array<std::byte, devices::kPciConfigBytes> bytes_{};
};

class VfioConfigView : public testing::Test {
 protected:
  std::uint64_t get(std::uint64_t at, std::size_t bytes) {
    std::array<std::byte, 4> data{};
    view_.read(at, std::span(data).first(bytes));
    return devices::load_le(std::span(data).first(bytes));
  }
  void set(std::uint64_t at, std::uint64_t value, std::size_t bytes) {
    std::array<std::byte, 4> data{};
    devices::store_le(data, value);
    view_.write(at, std::span(data).first(bytes));
  }

  ArrayConfig host_;
  ConfigView view_ = ConfigView::create(host_).value();
};

TEST_F(VfioConfigView, ShowsTheDeviceAndWhatItIsHere) {
  EXPECT_EQ(get(0x00, 2), 0x1234u);
  EXPECT_EQ(get(0x04, 2), 0u) << "the command register begins empty";
  EXPECT_EQ(get(0x0e, 1), 0u) << "one function";
  EXPECT_EQ(get(0x10, 4), 0u) << "BARs are added by who places them";
  EXPECT_EQ(get(0x18, 4), 0u) << "no ports";
  EXPECT_EQ(get(0x30, 4), 0u) << "no ROM";
  EXPECT_EQ(get(0x3d, 1), 0u) << "no interrupt pin";
  EXPECT_EQ(get(0x44, 2), 0x0100u) << "awake";
  EXPECT_EQ(get(0x78, 2), 0x1111u);
  EXPECT_EQ(get(0x100, 4), 0u) << "no extended space";
  EXPECT_EQ(view_.capability(devices::pci::kCapabilityMsi), 0x50u);
  EXPECT_EQ(view_.capability(devices::pci::kCapabilityMsix), std::nullopt);
}

TEST_F(VfioConfigView, PassesOnWhatIsTheDevicesAndKeepsTheRest) {
  set(0x78, 0x2222, 2);
  EXPECT_THAT(host_.writes, ElementsAre(MappableArea{0x78, 2}));
  EXPECT_EQ(get(0x78, 2), 0x2222u);
  host_.writes.clear();
  set(0x04, 0xffff, 2);
  set(0x30, 0xffff'ffff, 4);
  set(0x44, 0xffff, 2);
  set(0x200, 0xffff, 2);
  EXPECT_THAT(host_.writes, IsEmpty());
  EXPECT_EQ(get(0x04, 2), 0x0546u);
  EXPECT_EQ(get(0x44, 2), 0x0103u) << "asleep for the guest; the device does not hear of it";
  // One access over both kinds.
  set(0x3b, 0x0707'0707, 4);
  EXPECT_THAT(host_.writes, ElementsAre(MappableArea{0x3b, 1}, MappableArea{0x3e, 1}));
  EXPECT_EQ(get(0x3b, 4), 0x0700'0707u);
}

TEST_F(VfioConfigView, ReadsAsOnesWhenTheDeviceDoesNotAnswer) {
  host_.is_gone = true;
  EXPECT_EQ(get(0x78, 2), 0xffffu);
}

TEST_F(VfioConfigView, RefusesABridge) {
  host_.set(0x0e, 1, 1);
  const auto view = ConfigView::create(host_);
  ASSERT_FALSE(view);
  EXPECT_EQ(view.error().kind(), uvm::ErrorKind::Unsupported);
}

TEST_F(VfioConfigView, EndsWithAChainOfCapabilitiesThatIsARing) {
  host_.set(0x70, 0x4010, 2);
  const auto view = ConfigView::create(host_);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->capability(0x7f), std::nullopt);
}

TEST_F(VfioConfigView, DeliversTheOneMessageOfMsiWhileItMay) {
  devices::test::FakeMsiEvents events;
  auto msi = MsiCapability::create(view_, 0x50, events);
  ASSERT_TRUE(msi) << msi.error().text();
  auto& delivered = events.delivered.front();
  EXPECT_EQ(get(0x52, 2), 0x0180u) << "one message, off";
  set(0x54, 0xfee0'1003, 4);
  set(0x58, 0x1, 4);
  set(0x5c, 0x4041, 2);
  set(0x52, 0x0071, 2);
  msi->follow(view_.registers());
  EXPECT_EQ(get(0x52, 2), 0x0181u) << "still one message";
  EXPECT_TRUE(msi->enabled());
  EXPECT_EQ(delivered, (devices::MsiMessage{0x1'fee0'1000, 0x4041}));
  set(0x60, 1, 4);
  msi->follow(view_.registers());
  EXPECT_EQ(delivered, std::nullopt) << "masked";
  EXPECT_TRUE(msi->enabled());
  set(0x60, 0, 4);
  set(0x52, 0, 2);
  msi->follow(view_.registers());
  EXPECT_EQ(delivered, std::nullopt) << "off";
  EXPECT_FALSE(msi->enabled());
  EXPECT_THAT(host_.writes, IsEmpty());
}

TEST(VfioBarWindows, LeaveOutThePagesThatAreTrapped) {
  constexpr std::uint64_t kPage = 0x1000;
  const std::vector<MappableArea> whole = {{0, 16 * kPage}};
  EXPECT_THAT(areas_to_show(whole, {}), ElementsAre(MappableArea{0, 16 * kPage}));
  EXPECT_THAT(areas_to_show(whole, {{2 * kPage + 16, 100}, {5 * kPage, 8}}),
              ElementsAre(MappableArea{0, 2 * kPage}, MappableArea{3 * kPage, 2 * kPage},
                          MappableArea{6 * kPage, 10 * kPage}));
  EXPECT_THAT(areas_to_show(whole, {{0, 8}, {15 * kPage, 8}}), ElementsAre(MappableArea{kPage, 14 * kPage}));
  // Table and pending bits in one page.
  EXPECT_THAT(areas_to_show(whole, {{kPage, 8}, {kPage + 64, 8}}),
              ElementsAre(MappableArea{0, kPage}, MappableArea{2 * kPage, 14 * kPage}));
  EXPECT_THAT(areas_to_show({{0, kPage}, {8 * kPage, kPage}}, {{8 * kPage, 64}}),
              ElementsAre(MappableArea{0, kPage}));
  EXPECT_THAT(areas_to_show({{0, 256}}, {}), IsEmpty()) << "less than a page cannot be shown";
}

}  // namespace config_view_test
}  // namespace vmm::vfio
