// A device of the host as sysfs describes it: where it is, who drives it, with whom it shares its isolation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "uvm/base/error.h"
#include "vmm/vfio/options.h"

namespace vmm::vfio {

struct HostDevice {
  PciAddress address;
  std::uint32_t group = 0;     // the IOMMU group: /dev/vfio/GROUP
  std::filesystem::path file;  // its own, /dev/vfio/devices/vfioN; empty: the kernel gives out groups only
};

/// Where devices are looked for; tests have a tree of their own.
inline const std::filesystem::path kSysfs = "/sys";

/// The device that is meant, if it could be given to a guest now. Errors, each with what to do about it:
/// NotFound (no such device or group), Unsupported (the host has no IOMMU, or it is off), Busy (a driver of
/// the host's has it, or none), Invalid (a group with several devices is no device).
[[nodiscard]] uvm::Result<HostDevice> find_host_device(const DeviceOptions& options,
                                                       const std::filesystem::path& sysfs = kSysfs);

}  // namespace vmm::vfio
