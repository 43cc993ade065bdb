// What validate.h refuses of virtio devices.
#pragma once

#include <cstddef>

#include "uvm/base/error.h"
#include "vmm/machine/config.h"

namespace vmm::config {

inline constexpr std::size_t kMaxDeviceId = 64;  // bytes

/// Ids that are unique in their list, limits, addresses; touches no file. Kind Invalid.
[[nodiscard]] uvm::Status check_virtio(const MachineConfig& config);

}  // namespace vmm::config
