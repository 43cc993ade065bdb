#include "vmm/debug/guest_bytes.h"

#include "uvm/access.h"

namespace vmm::debug {

uvm::Status GuestBytes::read(uvm::Gpa gpa, std::span<std::byte> to) {
  return uvm::Access::read(space_, gpa, to);
}

uvm::Status GuestBytes::write(uvm::Gpa gpa, std::span<const std::byte> from) {
  return uvm::Access::write(space_, gpa, from);
}

void GuestBytes::reshare(uvm::Gpa) {}

}  // namespace vmm::debug
