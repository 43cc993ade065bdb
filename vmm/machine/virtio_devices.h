// The virtio devices that a configuration asks for, built and put on the PCI bus.
#pragma once

#include "guest/e820.h"
#include "uvm/base/error.h"
#include "vmm/machine/machine_image.h"
#include "vmm/machine/parts.h"

namespace vmm {

/// In the order in which the guest finds them; with the disks that `image`, unless it is null, brings.
/// Errors: Invalid (what the configuration names can't be had: the option is to blame), those of
/// PciTransport::create().
[[nodiscard]] uvm::Status build_virtio(Machine::Parts& parts, const guest::MemoryLayout& layout,
                                       const MachineImage* image);

}  // namespace vmm
