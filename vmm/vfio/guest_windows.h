// Registers of a device in the guest's own address space, where it reaches them without an exit.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "uvm/base/error.h"
#include "uvm/base/range.h"

namespace vmm::vfio {

/// As long as it lives, the guest's accesses to its range go to the host's bytes.
class GuestWindow {
 public:
  virtual ~GuestWindow() = default;
};

/// Makes them. Thread-safe; may be called with a device's lock held. The windows end before this does.
class GuestWindows {
 public:
  virtual ~GuestWindows() = default;
  /// Shows `bytes`, which stay mapped as long as the window lives, at `range`: whole pages, as many as
  /// `bytes` has. An error is no misfortune: without it accesses come to the device as exits. Errors: those
  /// of kvm::MemSlot.
  [[nodiscard]] virtual uvm::Result<std::unique_ptr<GuestWindow>> show(uvm::GpaRange range,
                                                                       std::span<std::byte> bytes) = 0;
};

}  // namespace vmm::vfio
