// `uvmm list-builtins`, also spelled `uvmm run --builtin list`.
#pragma once

namespace vmm::cli {

/// Prints name, processor mode, least memory, summary and arguments of every built-in guest. Returns the exit
/// status.
[[nodiscard]] int list_builtins_command();

}  // namespace vmm::cli
