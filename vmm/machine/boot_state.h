// A boot protocol's entry state, written into a vCPU.
#pragma once

#include "guest/entry_state.h"
#include "uvm/base/error.h"
#include "vmm/kvm/vcpu.h"

namespace vmm {

/// Gives `vcpu` the registers and the few MSRs a guest may rely on at its first instruction (fast strings on,
/// memory type write-back by default, as firmware leaves them). Thread: before the vCPU first runs.
[[nodiscard]] uvm::Status set_boot_state(kvm::Vcpu& vcpu, const guest::EntryState& entry);

}  // namespace vmm
