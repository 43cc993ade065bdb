// The guest's memory as a back end gets it: pins, and where their pages lie in files.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/range.h"
#include "uvm/pin.h"
#include "uvm/space.h"

namespace vmm::vhost_user {

/// Holds what the back end may touch in its place, for as long as it lives. Move-only.
class MemoryTable {
 public:
  /// [gpa, gpa + bytes) is [offset, offset + bytes) of the file `fd`, which is open as long as the table
  /// lives.
  struct Part {
    std::uint64_t gpa = 0;
    std::uint64_t bytes = 0;
    int fd = -1;
    std::uint64_t offset = 0;
  };

  /// Pins all of `ram` (ascending, disjoint) for writing, where other processes can map it. Brings in what is
  /// not there, so it may sleep: not for a vCPU's thread. Errors: as uvm::Pin::create(); NoMemory (it lies in
  /// more places than a back end takes).
  [[nodiscard]] static uvm::Result<MemoryTable> create(uvm::Space& space, std::span<const uvm::GpaRange> ram,
                                                       std::shared_ptr<uvm::PinOwner> owner);

  /// Ascending.
  [[nodiscard]] const std::vector<Part>& parts() const { return parts_; }

 private:
  MemoryTable() = default;
  void add(const Part& part);

  std::optional<uvm::Pin> pin_;
  std::vector<Part> parts_;
};

}  // namespace vmm::vhost_user
