// What can be told of a device before it is opened, from a tree that looks like sysfs.
#include "vmm/vfio/host_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "vmm/vfio/host_finding.h"

namespace vmm::vfio {
namespace host_device_test {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using uvm::ErrorKind;

class VfioHostDevice : public testing::Test {
 protected:
  VfioHostDevice() { fs::create_directories(root_ / "bus/pci/devices"); }
  ~VfioHostDevice() override { fs::remove_all(root_); }

  void add_device(const std::string& address) { fs::create_directories(device(address)); }
  void add_to_group(const std::string& address, const std::string& group) {
    fs::create_directory_symlink("../../../kernel/iommu_groups/" + group, device(address) / "iommu_group");
    fs::create_directories(root_ / "kernel/iommu_groups" / group / "devices" / address);
  }
  void bind(const std::string& address, const std::string& driver) {
    fs::create_directory_symlink("../../drivers/" + driver, device(address) / "driver");
  }
  [[nodiscard]] fs::path device(const std::string& address) const {
    return root_ / "bus/pci/devices" / address;
  }
  [[nodiscard]] uvm::Result<HostDevice> find(const std::string& text) const {
    return find_host_device(*parse_device(text), root_);
  }

  const fs::path root_ = fs::path(testing::TempDir()) / ("uvmm-sysfs-" + std::to_string(::getpid()));
};

TEST_F(VfioHostDevice, IsFoundByAddressAndByGroup) {
  add_device("0000:00:04.0");
  add_to_group("0000:00:04.0", "7");
  bind("0000:00:04.0", "vfio-pci");
  for (const char* text : {"pci:00:04.0", "/dev/vfio/7"}) {
    const auto found = find(text);
    ASSERT_TRUE(found) << found.error().text();
    EXPECT_EQ(to_string(found->address), "0000:00:04.0");
    EXPECT_EQ(found->group, 7u);
    EXPECT_EQ(found->file, "") << "a kernel that has groups only";
  }
  fs::create_directories(device("0000:00:04.0") / "vfio-dev/vfio3");
  EXPECT_EQ(find("pci:00:04.0")->file, "/dev/vfio/devices/vfio3");
}

TEST_F(VfioHostDevice, ThatIsNotThereIsSaidSo) {
  EXPECT_EQ(find("pci:00:04.0").error().kind(), ErrorKind::NotFound);
  EXPECT_EQ(find("/dev/vfio/7").error().kind(), ErrorKind::NotFound);
}

TEST_F(VfioHostDevice, WithoutAnIommuIsRefused) {
  add_device("0000:00:04.0");
  bind("0000:00:04.0", "vfio-pci");
  const auto found = find("pci:00:04.0");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind(), ErrorKind::Unsupported);
  EXPECT_THAT(found.error().text(), HasSubstr("intel_iommu=on"));
}

TEST_F(VfioHostDevice, OfTheHostsIsNotTaken) {
  add_device("0000:00:04.0");
  add_to_group("0000:00:04.0", "7");
  EXPECT_THAT(find("pci:00:04.0").error().text(), HasSubstr("is free; give it to vfio-pci"));
  bind("0000:00:04.0", "nvme");
  const auto found = find("pci:00:04.0");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind(), ErrorKind::Busy);
  EXPECT_THAT(found.error().text(), HasSubstr("driver nvme"));
}

TEST_F(VfioHostDevice, OfAGroupOfSeveralHasToBeNamed) {
  for (const char* address : {"0000:00:04.1", "0000:00:04.0"}) {
    add_device(address);
    add_to_group(address, "7");
    bind(address, "vfio-pci");
  }
  const auto found = find("/dev/vfio/7");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind(), ErrorKind::Invalid);
  EXPECT_THAT(found.error().text(), HasSubstr("has 2 devices; name one of them, as in pci:0000:00:04.0"));
  EXPECT_TRUE(find("pci:00:04.1"));
}

TEST_F(VfioHostDevice, AreWhatTheDoctorLooksFor) {
  const std::string container = (root_ / "container").string();
  EXPECT_EQ(host_finding(root_, container, root_ / "nothing").verdict, kvm::Verdict::No);
  fs::create_directories(root_ / "kernel/iommu_groups/7");
  EXPECT_EQ(host_finding(root_, container, root_ / "nothing").verdict, kvm::Verdict::Degraded);
  std::ofstream(container).put(' ');
  const auto found = host_finding(root_, container, root_ / "nothing");
  EXPECT_EQ(found.verdict, kvm::Verdict::Yes);
  EXPECT_EQ(found.value, "1 IOMMU groups, VFIO type 1");
  const fs::path iommufd = root_ / "iommu";
  std::ofstream(iommufd).put(' ');
  EXPECT_EQ(host_finding(root_, container, iommufd).value, "1 IOMMU groups, iommufd");
  EXPECT_EQ(host_finding(root_, root_ / "nothing", iommufd).verdict, kvm::Verdict::Yes);
}

}  // namespace host_device_test
}  // namespace vmm::vfio
