// Where the initial RAM disk goes.
#pragma once

#include "guest/load_plan.h"

namespace guest {

/// Puts the request's initrd, if there is one, on the highest page that leaves it inside usable RAM, below
/// `limit` (exclusive) and clear of plan.kernel; never below 1 MiB. High, because kernels allocate upwards
/// and a decompressor may want room above the kernel. Adds the segment "initrd" and sets plan.initrd. Errors:
/// NoMemory with the sizes and how much -m would do.
[[nodiscard]] uvm::Status place_initrd(LoadPlan& plan, const BootRequest& request, uvm::Gpa limit);

}  // namespace guest
