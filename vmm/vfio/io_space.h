// What a device sees of memory: a table of the IOMMU's that the kernel fills on our behalf.
#pragma once

#include <cstddef>
#include <span>

#include "uvm/base/error.h"
#include "uvm/base/range.h"

namespace vmm::vfio {

/// I/O addresses are guest-physical addresses: without an IOMMU of its own a guest gives its devices those.
/// Thread: calls must not overlap.
class IoSpace {
 public:
  virtual ~IoSpace() = default;
  /// From now on the devices of this space reach `bytes` (whole pages, as many as the range has) at `range`,
  /// to read and to write. The kernel holds the pages that are there now until unmap(): they must not be
  /// replaced by others meanwhile, which is what a pin is for. Errors: NoMemory (RLIMIT_MEMLOCK), Invalid
  /// (the IOMMU does not reach the range), Busy (it is mapped already), System.
  [[nodiscard]] virtual uvm::Status map(uvm::GpaRange range, std::span<std::byte> bytes) = 0;
  /// Takes back what one map() gave. When it returns no device touches the pages any more.
  virtual void unmap(uvm::GpaRange range) = 0;
};

}  // namespace vmm::vfio
