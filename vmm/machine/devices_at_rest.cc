#include "vmm/machine/devices_at_rest.h"

#include "vmm/machine/parts.h"

namespace vmm {

DevicesAtRest::DevicesAtRest(Machine::Parts& parts) : parts_(parts) {
  for (const auto& function : parts_.virtio) function->rest();
}

DevicesAtRest::~DevicesAtRest() {
  for (const auto& function : parts_.virtio) function->go_on();
}

uvm::Status DevicesAtRest::check(const Machine::Parts& parts) {
  for (const auto& function : parts.virtio) UVMM_CHECK(function->can_rest());
  return uvm::ok();
}

}  // namespace vmm
