// What this host can do for --vfio, for `uvmm doctor`.
#pragma once

#include <filesystem>

#include "vmm/kvm/probe.h"
#include "vmm/vfio/host_device.h"

namespace vmm::vfio {

/// Whether there is an IOMMU, and which way leads to it. Opens nothing.
[[nodiscard]] kvm::Finding host_finding(const std::filesystem::path& sysfs = kSysfs,
                                        const std::filesystem::path& container = "/dev/vfio/vfio",
                                        const std::filesystem::path& iommufd = "/dev/iommu");

}  // namespace vmm::vfio
