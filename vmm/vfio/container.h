// The I/O space of a machine's devices, whichever of the kernel's two interfaces gives it.
#pragma once

#include <memory>
#include <span>

#include "vmm/vfio/device.h"
#include "vmm/vfio/host_device.h"
#include "vmm/vfio/io_space.h"

namespace vmm::vfio {

/// Devices and DMA maps must end before it does. Thread: calls must not overlap.
class Container : public IoSpace {
 public:
  /// For these devices: iommufd where the host has it, may be used and shows all of them, otherwise type 1.
  /// Errors: those of Type1::open().
  [[nodiscard]] static uvm::Result<std::unique_ptr<Container>> open(std::span<const HostDevice> devices);

  /// Opens a device and brings it into the I/O space. Errors: Busy (another process has it, or its group; a
  /// neighbour of the device is in use by the host), Permission, NotFound, System.
  [[nodiscard]] virtual uvm::Result<Device> open_device(const HostDevice& device) = 0;

 protected:
  /// Of map(): what the kernel's error means.
  [[nodiscard]] static uvm::Error cannot_map(int number, uvm::GpaRange range);
  /// The IOMMU lets a device forge interrupts; `module` is whose parameter allows that.
  [[nodiscard]] static uvm::Error unsafe_interrupts(const char* module);
};

}  // namespace vmm::vfio
