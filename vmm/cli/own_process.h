// What `uvmm run` does with its own process around a machine: the jail, the confinement, and the process that
// starts copies. In this order, on the main thread.
#pragma once

#include "uvm/base/error.h"
#include "vmm/machine/config.h"

namespace vmm::cli {

/// While there is one thread: enters the jail, and starts what starts copies, which goes into `config`.
/// Errors: those of enter_jail() and Starter::create().
[[nodiscard]] uvm::Status prepare_process(MachineConfig& config);

/// Before the machine is built: its threads will be confined to what `config` names. Errors: those of
/// confine::set_up().
[[nodiscard]] uvm::Status confine_process(const MachineConfig& config);

/// When the machine is built and has not run: another user's, where that was asked for. Errors: those of
/// confine::give_up_rights().
[[nodiscard]] uvm::Status give_up_rights(const MachineConfig& config);

}  // namespace vmm::cli
