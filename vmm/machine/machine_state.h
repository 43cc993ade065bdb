// All of a machine but its memory, saved and restored. The format and its rules: vmm/snapshot/snapshot.h.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/machine/machine_shape.h"
#include "vmm/machine/parts.h"

namespace vmm {

[[nodiscard]] MachineShape shape_of(Machine::Parts& parts);

/// As Machine::save_state() and Machine::restore_state(), with devices at rest (DevicesAtRest). With
/// ClockPolicy::Host kvmclock, the TSCs and the PM timer go on from where they would be by the host's clock,
/// had the guest never stopped. Errors besides: Unsupported (a state that does not say when it was saved).
[[nodiscard]] uvm::Result<std::vector<std::byte>> save_state(Machine::Parts& parts);
[[nodiscard]] uvm::Status restore_state(Machine::Parts& parts, std::span<const std::byte> state,
                                        ClockPolicy policy);

/// What each vCPU of a state has seen of its processor, which it must have before anything else. Errors:
/// Invalid.
[[nodiscard]] uvm::Result<std::vector<std::vector<kvm_cpuid_entry2>>> saved_cpuids(
    std::span<const std::byte> state, std::size_t vcpus);

}  // namespace vmm
