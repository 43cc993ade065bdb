// Registers of a device in this process's memory, for a memory slot to show them to the guest.
#pragma once

#include <cstddef>
#include <span>

#include "uvm/base/error.h"
#include "vmm/vfio/device.h"

namespace vmm::vfio {

/// RAII over one mapping of a device's file. Move-only. The device may be closed before: the mapping keeps
/// its file open.
class RegionMapping {
 public:
  /// `area` is one of region.areas. Errors: System.
  [[nodiscard]] static uvm::Result<RegionMapping> create(const Device& device, const Region& region,
                                                         const MappableArea& area);

  RegionMapping(RegionMapping&& other) noexcept;
  RegionMapping& operator=(RegionMapping&& other) noexcept;
  RegionMapping(const RegionMapping&) = delete;
  RegionMapping& operator=(const RegionMapping&) = delete;
  ~RegionMapping();

  /// Registers: every access of this process goes to the device. While the device does not decode memory, or
  /// is in reset, an access is SIGBUS, and EFAULT for a vCPU.
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
  [[nodiscard]] const MappableArea& area() const { return area_; }

 private:
  RegionMapping(std::span<std::byte> bytes, MappableArea area) : bytes_(bytes), area_(area) {}

  std::span<std::byte> bytes_;  // empty after a move
  MappableArea area_;
};

}  // namespace vmm::vfio
