// Why the kernel would not lock memory for a device.
#pragma once

#include <cstdint>
#include <optional>

#include "uvm/base/error.h"

namespace vmm::vfio {

/// When RLIMIT_MEMLOCK is what keeps this process from locking `bytes` more, an error that says so with all
/// numbers and the ways out; nullopt when it is not the cause (a process with CAP_IPC_LOCK has no limit).
[[nodiscard]] std::optional<uvm::Error> memlock_error(std::uint64_t bytes);

}  // namespace vmm::vfio
