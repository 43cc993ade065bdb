// `uvmm fork`: this process becomes a copy of a running machine, or runs several.
#pragma once

#include <string>

#include "vmm/cli/remote_command.h"

namespace vmm::cli {

/// `socket` is the machine's. Returns the exit status, of several copies the worst. On the main thread.
[[nodiscard]] int fork_command(const RemoteCall& call, const std::string& socket);

}  // namespace vmm::cli
