// PhysicalMemory over a guest's space: the debugger's door to the VM system.
#pragma once

#include "uvm/access_mode.h"
#include "uvm/space.h"
#include "vmm/debug/physical_memory.h"

namespace vmm::debug {

/// Reads leave no trace: nothing is faulted in. Writes make a page private first, whatever the guest may do
/// with it; into what others see too (a shared mapping that is not this machine's own RAM) only when that is
/// allowed.
class GuestBytes : public PhysicalMemory {
 public:
  explicit GuestBytes(uvm::Space& space) : space_(space) {}

  void allow_shared_writes(uvm::SharedWrites allowed) { shared_ = allowed; }
  [[nodiscard]] uvm::SharedWrites shared_writes() const { return shared_; }

  [[nodiscard]] uvm::Status read(uvm::Gpa gpa, std::span<std::byte> to) override;
  [[nodiscard]] uvm::Status write(uvm::Gpa gpa, std::span<const std::byte> from) override;
  void reshare(uvm::Gpa page) override;

 private:
  [[nodiscard]] bool is_own_ram(uvm::Gpa gpa) const;

  uvm::Space& space_;
  uvm::SharedWrites shared_ = uvm::SharedWrites::Refuse;
};

}  // namespace vmm::debug
