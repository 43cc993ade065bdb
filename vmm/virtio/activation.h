// From the registers of a driver to what its device is started with.
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "vmm/virtio/common_config.h"
#include "vmm/virtio/device.h"

namespace vmm::virtio {

/// What the enabled queues come to; nothing: one is not where it can be, aligned and wholly in RAM
/// (virtio 1.2, 2.7). `kicks`: one a queue. `call`: where the queue with that vector is heard.
[[nodiscard]] std::optional<Activation> activation_of(
    const CommonConfig& registers, const std::function<bool(std::uint64_t gpa, std::uint64_t bytes)>& is_ram,
    std::span<const Fd> kicks, const std::function<const Fd*(std::uint16_t vector)>& call);

}  // namespace vmm::virtio
