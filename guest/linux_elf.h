// A vmlinux (ELF64) through the 64-bit Linux boot protocol: entered in 64-bit mode at e_entry with RSI =
// boot_params. Such a file has no setup header, so the loader makes one up.
#pragma once

#include "guest/load_plan.h"

namespace guest {

/// Errors: ELF's own, ELF32, or an entry above the identity-mapped 4 GiB.
[[nodiscard]] uvm::Result<LoadPlan> plan_elf64(const BootRequest& request);

}  // namespace guest
