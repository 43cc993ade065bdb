// An open device: its registers by number, its interrupts by eventfd.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/kvm/fd.h"

namespace vmm::vfio {

/// A part of a region that a process can map; bytes from the region's begin.
struct MappableArea {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;

  friend bool operator==(const MappableArea&, const MappableArea&) = default;
};

/// One of a device's windows: a BAR, its ROM, its configuration space.
struct Region {
  std::uint32_t index = 0;
  std::uint64_t bytes = 0;   // 0: the device has none of that number
  std::uint64_t offset = 0;  // in the device's file
  bool readable = false;
  bool writable = false;
  std::vector<MappableArea> areas;  // ascending; empty: by read and write only
};

/// Owns the file of one device. Closing it resets the device as far as the kernel can, and stops its DMA and
/// its interrupts. Move-only. Thread: any; two accesses to one register may be in either order.
class Device {
 public:
  /// `name` heads errors. Errors: System; Unsupported (not a PCI device).
  [[nodiscard]] static uvm::Result<Device> adopt(Fd fd, std::string name);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const Fd& fd() const { return fd_; }
  /// Whether reset() can do anything.
  [[nodiscard]] bool can_reset() const { return can_reset_; }
  /// Brings back the power-on state, with memory decoding and bus mastering off.
  [[nodiscard]] uvm::Status reset();

  /// `index`: VFIO's number, for PCI VFIO_PCI_BAR0_REGION_INDEX and on. A region that is not there is empty.
  [[nodiscard]] uvm::Result<Region> region(std::uint32_t index) const;
  /// `at`: bytes from the region's begin. Errors: Invalid (past its end), System.
  [[nodiscard]] uvm::Status read(const Region& region, std::uint64_t at, std::span<std::byte> data) const;
  [[nodiscard]] uvm::Status write(const Region& region, std::uint64_t at,
                                  std::span<const std::byte> data) const;

  /// How many interrupts there are of the kind `index` (VFIO_PCI_MSIX_IRQ_INDEX …); 0: none of that kind.
  [[nodiscard]] uvm::Result<std::uint32_t> irq_count(std::uint32_t index) const;
  /// Switches the kind on at the device: interrupt n writes to events[n], a file descriptor, or, where that
  /// is -1, is not heard. What was connected before is not any more.
  [[nodiscard]] uvm::Status connect_irqs(std::uint32_t index, std::span<const int> events);
  /// Interrupt 0 of the kind can come again: a line, which the kernel masks each time it has written its
  /// event.
  [[nodiscard]] uvm::Status unmask_irq(std::uint32_t index);
  /// Switches it off; no eventfd is written when it returns. Without effect when it is off.
  void disconnect_irqs(std::uint32_t index);

 private:
  Device(Fd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}

  Fd fd_;
  std::string name_;
  bool can_reset_ = false;
};

}  // namespace vmm::vfio
