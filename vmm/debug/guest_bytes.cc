#include "vmm/debug/guest_bytes.h"

#include "uvm/access.h"
#include "vmm/machine/guest_memory.h"

namespace vmm::debug {

uvm::Status GuestBytes::read(uvm::Gpa gpa, std::span<std::byte> to) {
  return uvm::Access::read(space_, gpa, to, uvm::kDebugger);
}

uvm::Status GuestBytes::write(uvm::Gpa gpa, std::span<const std::byte> from) {
  const bool allowed = shared_ == uvm::SharedWrites::Allow || is_own_ram(gpa);
  return uvm::Access::write(space_, gpa, from, allowed ? uvm::kDebuggerShared : uvm::kDebugger);
}

void GuestBytes::reshare(uvm::Gpa page) {
  // A page that can't be given back now is a page that stays private, and no less right.
  static_cast<void>(space_.reshare(page));
}

/// RAM may be a shared mapping of an object that only this machine has.
bool GuestBytes::is_own_ram(uvm::Gpa gpa) const {
  const auto entry = space_.entry_at(gpa);
  return entry && entry->name == GuestMemory::kRamName;
}

}  // namespace vmm::debug
