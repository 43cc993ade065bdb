// The last word on a plan: nothing outside RAM, nothing twice, nothing past the address width.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "guest/load_plan.h"

namespace guest {

/// Sorts plan.segments by address and refuses a segment that leaves usable RAM, passes 2^52, overlaps
/// another, or names bytes its file doesn't have. Called by plan_boot on every plan, and by protocols on the
/// kernel alone before they place an initrd, so that the error is about the kernel.
[[nodiscard]] uvm::Status check_plan(LoadPlan& plan, const BootRequest& request);

/// Sets plan.kernel to what spans all segments so far (a protocol calls it when only the kernel's are there).
void span_kernel(LoadPlan& plan);

}  // namespace guest
