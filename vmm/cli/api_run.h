// `uvmm run --api-socket`.
#pragma once

#include "vmm/machine/config.h"

namespace vmm {
struct MachineImage;
}

namespace vmm::cli {

/// A machine whose API is answered from before it is built until it has ended: one that boots at once, or
/// goes on from `image`, or, without either, what requests make of `config`. The log is set up. Returns the
/// exit status. On the main thread.
[[nodiscard]] int run_with_api(const MachineConfig& config, const MachineImage* image);

}  // namespace vmm::cli
