// `uvmm run` and `uvmm run --dry-run`.
#pragma once

#include <memory>

#include "uvm/base/error.h"
#include "vmm/machine/config.h"

namespace vmm {
class Machine;
class MachineShell;
struct MachineImage;
}  // namespace vmm

namespace vmm::cli {

/// Sets the log up, builds the machine, runs it; every failure is one line on stderr. Returns the exit
/// status. Must be called on the main thread, which becomes the machine's I/O thread.
[[nodiscard]] int run_command(const MachineConfig& config);

/// The same for a machine that goes on where another was; `config` has its shape. `shell` may be null.
[[nodiscard]] int run_from_image(const MachineConfig& config, const MachineImage& image,
                                 std::unique_ptr<MachineShell> shell);

/// One that is built: runs it, says how it ended, and returns the exit status.
[[nodiscard]] int run_machine(Machine& machine, const MachineConfig& config);

/// Prints the effective configuration.
[[nodiscard]] int dry_run_command(const MachineConfig& config);

/// What an error that kept a machine from being built means for the exit status.
[[nodiscard]] ExitStatus status_of(const uvm::Error& error);
/// One line on stderr; the exit status that the error means.
[[nodiscard]] int fail(const uvm::Error& error);

}  // namespace vmm::cli
