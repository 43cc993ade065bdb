#include "vmm/vfio/host_device.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <system_error>
#include <vector>

namespace vmm::vfio {
namespace {

namespace fs = std::filesystem;
using uvm::Error;
using uvm::ErrorKind;

constexpr std::string_view kDriver = "vfio-pci";

/// The last part of what a link of sysfs points at: a driver's name, a group's number.
std::optional<std::string> link_name(const fs::path& link) {
  std::error_code error;
  const fs::path target = fs::read_symlink(link, error);
  if (error) return std::nullopt;
  return target.filename().string();
}

std::string how_to_bind(const std::string& address) {
  return "give it to " + std::string(kDriver) + ": modprobe vfio-pci; echo vfio-pci > /sys/bus/pci/devices/" +
         address + "/driver_override; echo " + address + " > /sys/bus/pci/drivers_probe";
}

/// The only device of a group.
uvm::Result<PciAddress> device_of(GroupNumber group, const fs::path& sysfs) {
  const fs::path folder = sysfs / "kernel/iommu_groups" / std::to_string(group.number) / "devices";
  std::error_code error;
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    names.push_back(entry.path().filename().string());
  }
  const std::string what = "IOMMU group " + std::to_string(group.number);
  if (names.empty()) {
    return Error(ErrorKind::NotFound, what + " does not exist on this host",
                 "`ls /sys/kernel/iommu_groups` shows all; none: the IOMMU is off (intel_iommu=on)");
  }
  if (names.size() > 1) {
    std::ranges::sort(names);
    return Error(ErrorKind::Invalid, what + " has " + std::to_string(names.size()) + " devices",
                 "name one of them, as in pci:" + names.front());
  }
  return parse_pci_address(names.front());
}

}  // namespace

uvm::Result<HostDevice> find_host_device(const DeviceOptions& options, const fs::path& sysfs) {
  HostDevice found;
  if (const auto* address = std::get_if<PciAddress>(&options.device)) {
    found.address = *address;
  } else {
    UVMM_TRY(found.address, device_of(std::get<GroupNumber>(options.device), sysfs));
  }
  const std::string name = to_string(found.address);
  const std::string what = "PCI device " + name;
  const fs::path folder = sysfs / "bus/pci/devices" / name;
  std::error_code error;
  if (!fs::exists(folder, error)) {
    return Error(ErrorKind::NotFound, what + " does not exist on this host", "`lspci -D` shows all");
  }
  const auto group = link_name(folder / "iommu_group");
  if (!group ||
      std::from_chars(group->data(), group->data() + group->size(), found.group).ec != std::errc()) {
    return Error(ErrorKind::Unsupported,
                 what + " is behind no IOMMU, so its DMA could not be kept to the guest's memory",
                 "turn VT-d or AMD-Vi on in the firmware, and boot the host with intel_iommu=on");
  }
  const auto driver = link_name(folder / "driver");
  if (driver != kDriver) {
    return Error(ErrorKind::Busy,
                 what + " is " + (driver ? "in use by the host's driver " + *driver : "free"),
                 how_to_bind(name));
  }
  for (const auto& entry : fs::directory_iterator(folder / "vfio-dev", error)) {
    found.file = "/dev/vfio/devices" / entry.path().filename();
  }
  return found;
}

}  // namespace vmm::vfio
