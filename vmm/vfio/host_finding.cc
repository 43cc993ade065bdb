#include "vmm/vfio/host_finding.h"

#include <iterator>
#include <string>
#include <system_error>

namespace vmm::vfio {

namespace fs = std::filesystem;

kvm::Finding host_finding(const fs::path& sysfs, const fs::path& container, const fs::path& iommufd) {
  kvm::Finding finding{"devices", "device passthrough", "no IOMMU", kvm::Verdict::No,
                       "--vfio is refused (intel_iommu=on, or the firmware's setup)"};
  std::error_code error;
  const auto groups = std::distance(fs::directory_iterator(sysfs / "kernel/iommu_groups", error), {});
  if (groups == 0) return finding;
  finding.value = std::to_string(groups) + " IOMMU groups";
  const bool is_new = fs::exists(iommufd, error);
  if (!is_new && !fs::exists(container, error)) {
    finding.verdict = kvm::Verdict::Degraded;
    finding.consequence = "--vfio needs module vfio-pci first (modprobe vfio-pci)";
    return finding;
  }
  finding.verdict = kvm::Verdict::Yes;
  finding.value += is_new ? ", iommufd" : ", VFIO type 1";
  finding.consequence = "--vfio gives a device that vfio-pci has to a guest";
  return finding;
}

}  // namespace vmm::vfio
