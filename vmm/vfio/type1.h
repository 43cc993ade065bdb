// VFIO's type 1 interface: one I/O space, and the groups of devices that are in it. Every kernel with VFIO
// has it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "vmm/kvm/fd.h"
#include "vmm/vfio/container.h"

namespace vmm::vfio {

/// Owns /dev/vfio/vfio and the groups opened through it.
class Type1 final : public Container {
 public:
  /// Errors: NotFound (the host has no VFIO), Permission, Unsupported (another interface than type 1).
  [[nodiscard]] static uvm::Result<std::unique_ptr<Container>> open();

  /// Takes the device's group, unless it is here already, and opens the device.
  [[nodiscard]] uvm::Result<Device> open_device(const HostDevice& device) override;
  [[nodiscard]] uvm::Status map(uvm::GpaRange range, std::span<std::byte> bytes) override;
  void unmap(uvm::GpaRange range) override;

 private:
  struct Group {
    std::uint32_t number = 0;
    Fd fd;
  };

  explicit Type1(Fd fd) : fd_(std::move(fd)) {}
  [[nodiscard]] uvm::Result<const Group*> group(std::uint32_t number);
  /// After the first group: only then does the kernel know which IOMMU it is.
  [[nodiscard]] uvm::Status choose_iommu();

  Fd fd_;
  std::vector<Group> groups_;
};

}  // namespace vmm::vfio
