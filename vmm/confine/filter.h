// A list of calls as a program that the kernel runs before each system call of a thread.
#pragma once

#include <linux/filter.h>

#include <span>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/confine/calls.h"
#include "vmm/confine/options.h"

namespace vmm::confine {

using Program = std::vector<sock_filter>;

/// What is on the list is made or refused; anything else, calls of other architectures included, is a SIGSYS
/// (On) or told to the kernel's log (Log; of Off there is nothing to make). Put together here and not by
/// libseccomp, which takes a quarter of a millisecond and 160 KiB for each: more than a whole vCPU thread.
[[nodiscard]] Program compile(std::span<const Call> calls, Seccomp mode);

/// From here on this thread, and what it starts, runs under the program; there is no way back. The thread has
/// PR_SET_NO_NEW_PRIVS. Errors: Unsupported (a kernel without filters), System.
[[nodiscard]] uvm::Status install(const Program& program);

}  // namespace vmm::confine
