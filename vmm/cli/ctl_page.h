// `uvmm ctl SOCKET map --html FILE` and `uvmm ctl SOCKET ui`: a guest's memory in a browser.
#pragma once

#include "vmm/cli/ctl_command.h"

namespace vmm::cli {

// Each returns the exit status; an error is one line on stderr.

/// Writes the page with what the guest's memory is now. An existing file is replaced.
[[nodiscard]] int write_page(const CtlCall& call);

/// Prints an address for a browser, and serves the page there until the guest or a signal ends it.
[[nodiscard]] int serve_page(const CtlCall& call);

}  // namespace vmm::cli
