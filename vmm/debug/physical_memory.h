// Guest-physical memory as a debugger uses it.
#pragma once

#include <cstddef>
#include <span>

#include "uvm/base/error.h"
#include "uvm/base/units.h"

namespace vmm::debug {

/// Thread: the debugger's, and for read() the vCPU threads too.
class PhysicalMemory {
 public:
  virtual ~PhysicalMemory() = default;
  /// RAM only: devices have side effects. All or an error.
  [[nodiscard]] virtual uvm::Status read(uvm::Gpa gpa, std::span<std::byte> to) = 0;
  /// Regardless of the guest's rights, into pages of this guest alone: what it shares with files or with
  /// other guests stays as it is.
  [[nodiscard]] virtual uvm::Status write(uvm::Gpa gpa, std::span<const std::byte> from) = 0;
  /// The page may have become what it was before write() copied it: give the copy back if so.
  virtual void reshare(uvm::Gpa page) = 0;
};

}  // namespace vmm::debug
