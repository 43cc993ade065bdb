// What a process says that a forbidden system call ends.
#pragma once

#include "uvm/base/error.h"
#include "vmm/confine/thread_kind.h"

namespace vmm::confine {

/// A SIGSYS ends the process with ExitStatus::Forbidden and one line on stderr, which names thread and call.
/// `before` is called first; it is async-signal-safe, or null. Errors: System.
[[nodiscard]] uvm::Status install_last_words(void (*before)());

/// How that line calls this thread from here on.
void set_this_thread(ThreadKind kind);

}  // namespace vmm::confine
