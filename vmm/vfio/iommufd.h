// The kernel's newer interface to an IOMMU: an I/O space that devices are attached to one by one, without
// groups (linux/iommufd.h, from Linux 6.6 on for devices of VFIO).
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "vmm/kvm/fd.h"
#include "vmm/vfio/container.h"

namespace vmm::vfio {

/// Owns /dev/iommu and one I/O address space there.
class Iommufd final : public Container {
 public:
  /// Errors: NotFound (the host has none), Permission, System.
  [[nodiscard]] static uvm::Result<std::unique_ptr<Iommufd>> open();

  /// Whether each of these devices has a file of its own that this process may open.
  [[nodiscard]] static bool can_open(std::span<const HostDevice> devices);
  [[nodiscard]] uvm::Result<Device> open_device(const HostDevice& device) override;
  [[nodiscard]] uvm::Status map(uvm::GpaRange range, std::span<std::byte> bytes) override;
  void unmap(uvm::GpaRange range) override;

 private:
  Iommufd(Fd fd, std::uint32_t space) : fd_(std::move(fd)), space_(space) {}

  const Fd fd_;
  const std::uint32_t space_;  // its number there
};

}  // namespace vmm::vfio
