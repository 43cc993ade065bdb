// A machine that is no longer the one its guest's memory is from.
#pragma once

#include "uvm/base/error.h"
#include "vmm/devices/generation_id.h"
#include "vmm/machine/parts.h"

namespace vmm {

/// Writes fresh random bytes where the guest has been told to find its generation id; does nothing for a
/// guest that knows of none. With every vCPU stopped, and memory and devices as the guest will find them.
/// Errors: those of Access::write, System (no random bytes).
[[nodiscard]] uvm::Status renew_generation(Machine::Parts& parts, devices::Tell tell);

}  // namespace vmm
