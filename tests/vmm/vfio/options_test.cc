// Words to devices, and back.
#include "vmm/vfio/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmm::vfio {
namespace vfio_options_test {

using ::testing::HasSubstr;

PciAddress address_of(const DeviceOptions& options) {
  return std::get<PciAddress>(options.device);
}

TEST(VfioOptions, NameADeviceOrItsGroup) {
  const auto device = parse_device("pci:0001:3b:1f.7");
  ASSERT_TRUE(device) << device.error().text();
  EXPECT_EQ(address_of(*device), (PciAddress{1, 0x3b, 0x1f, 7}));
  EXPECT_EQ(device->fork, uvm::ForkPolicy::Refuse);
  const auto short_form = parse_device("pci:3b:00.1,fork=copy");
  ASSERT_TRUE(short_form) << short_form.error().text();
  EXPECT_EQ(address_of(*short_form), (PciAddress{0, 0x3b, 0, 1}));
  EXPECT_EQ(short_form->fork, uvm::ForkPolicy::Copy);
  const auto group = parse_device("/dev/vfio/12,fork=quiesce");
  ASSERT_TRUE(group) << group.error().text();
  EXPECT_EQ(std::get<GroupNumber>(group->device).number, 12u);
  EXPECT_EQ(group->fork, uvm::ForkPolicy::Quiesce);
}

TEST(VfioOptions, ReadWhatTheyPrint) {
  for (const char* text : {"pci:0000:3b:00.1", "pci:ffff:ff:1f.7,fork=copy", "/dev/vfio/0,fork=quiesce"}) {
    const auto options = parse_device(text);
    ASSERT_TRUE(options) << options.error().text();
    EXPECT_EQ(to_string(*options), text);
  }
}

TEST(VfioOptions, RefuseEverythingElseInOneLine) {
  for (const char* text : {"",
                           "pci:",
                           "pci:0000:3b:00",
                           "pci:0000:3b:20.0",
                           "pci:0000:3b:00.8",
                           "pci:10000:3b:00.0",
                           "pci:0000:3b:00.0x",
                           "pci:0000:100:00.0",
                           "pci::::",
                           "pci:-1:00:00.0",
                           "0000:3b:00.0",
                           "/dev/vfio/",
                           "/dev/vfio/x",
                           "/dev/vfio/-1",
                           "/dev/vfio/99999999999",
                           "pci:0000:3b:00.0,",
                           "pci:0000:3b:00.0,fork=",
                           "pci:0000:3b:00.0,fork=maybe",
                           "pci:0000:3b:00.0,bar=1",
                           "pci:0000:3b:00.0\n"}) {
    const auto options = parse_device(text);
    ASSERT_FALSE(options) << text;
    EXPECT_EQ(options.error().kind(), uvm::ErrorKind::Invalid) << text;
    EXPECT_FALSE(options.error().way_out().empty()) << text;
    EXPECT_EQ(options.error().text().find('\n'), std::string::npos) << text;
  }
  EXPECT_THAT(parse_device("pci:zz").error().text(), HasSubstr("0000:3b:00.0"));
}

}  // namespace vfio_options_test
}  // namespace vmm::vfio
