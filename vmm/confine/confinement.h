// The confinement of this process, thread by thread.
#pragma once

#include "uvm/base/error.h"
#include "vmm/confine/thread_kind.h"
#include "vmm/machine/config.h"

namespace vmm::confine {

/// Once a process, on its first thread, before it has others: no new privileges from here on, and what
/// enter() will need is made ready. `before_end` is called before a forbidden call ends the process; it is
/// async-signal-safe, or null. A kernel without Landlock is told of in the log. Errors: Unsupported (a kernel
/// without seccomp), System.
[[nodiscard]] uvm::Status set_up(const MachineConfig& config, void (*before_end)());

/// Threads that enter later may open the files that are open now again for reading: frozen memory goes to
/// whoever asks by such a descriptor. And they may make files where RAM with huge pages lies. Nothing where
/// set_up() was not called. Errors: System.
[[nodiscard]] uvm::Status let_reopen_files();

/// From here on this thread, and what it starts, may do what its kind does, and nothing else. The first thing
/// a thread does; the last thing before the guest runs for one that starts others. Ends the process with a
/// line on stderr if the kernel refuses: nothing goes on unconfined. Nothing where set_up() was not called,
/// as in tests with a machine in their own process.
void enter(ThreadKind kind);

}  // namespace vmm::confine
