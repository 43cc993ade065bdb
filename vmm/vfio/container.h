// VFIO's type 1 interface: one I/O space, and the groups of devices that are in it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "vmm/kvm/fd.h"
#include "vmm/vfio/device.h"
#include "vmm/vfio/host_device.h"
#include "vmm/vfio/io_space.h"

namespace vmm::vfio {

/// Owns /dev/vfio/vfio and the groups opened through it. Devices and DMA maps must end before it does.
/// Thread: calls must not overlap.
class Container final : public IoSpace {
 public:
  /// Errors: NotFound (the host has no VFIO), Permission, Unsupported (another interface than type 1).
  [[nodiscard]] static uvm::Result<std::unique_ptr<Container>> open();

  /// Takes the device's group, unless it is here already, and opens the device. Errors: Busy (another process
  /// has the group; a neighbour of the device is in use by the host), Permission, NotFound, System.
  [[nodiscard]] uvm::Result<Device> open_device(const HostDevice& device);

  [[nodiscard]] uvm::Status map(uvm::GpaRange range, std::span<std::byte> bytes) override;
  void unmap(uvm::GpaRange range) override;

 private:
  struct Group {
    std::uint32_t number = 0;
    Fd fd;
  };

  explicit Container(Fd fd) : fd_(std::move(fd)) {}
  [[nodiscard]] uvm::Result<const Group*> group(std::uint32_t number);
  /// After the first group: only then does the kernel know which IOMMU it is.
  [[nodiscard]] uvm::Status choose_iommu();

  Fd fd_;
  std::vector<Group> groups_;
};

}  // namespace vmm::vfio
