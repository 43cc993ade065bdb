// PhysicalMemory over a guest's space: the debugger's door to the VM system.
#pragma once

#include "uvm/space.h"
#include "vmm/debug/physical_memory.h"

namespace vmm::debug {

class GuestBytes : public PhysicalMemory {
 public:
  explicit GuestBytes(uvm::Space& space) : space_(space) {}

  [[nodiscard]] uvm::Status read(uvm::Gpa gpa, std::span<std::byte> to) override;
  [[nodiscard]] uvm::Status write(uvm::Gpa gpa, std::span<const std::byte> from) override;
  void reshare(uvm::Gpa page) override;

 private:
  uvm::Space& space_;
};

}  // namespace vmm::debug
