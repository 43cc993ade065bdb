// A terminal in raw mode, and back again whatever happens.
//
// Raw means: each byte as it is typed, no echo, no signals from keys, no flow control. Output processing
// stays on, so that a log line with a bare newline still begins at the left edge.
//
// Ways out and who restores: normal end, the destructor; exit(), an atexit handler; SIGINT, SIGTERM, SIGHUP,
// SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGILL and SIGFPE, a handler that restores and lets the default action
// follow (installed only where the default action was in force: whoever has a handler of his own comes back
// to the destructor); stop and continue, suspend() and resume(), called from whoever handles those signals.
// SIGKILL cannot be helped. Nothing is changed while another process group owns the terminal.
#pragma once

#include <memory>

#include "uvm/base/error.h"

namespace vmm {

/// Back to what it was, whoever made it raw; for those who end the process by _exit(). Async-signal-safe.
void restore_terminal();

class RawTerminal {
 public:
  /// `fd` must be a terminal and stay open while this lives. Enters raw mode, unless this process is in the
  /// background: then resume() does it later. One at a time in a process: Busy.
  [[nodiscard]] static uvm::Result<std::unique_ptr<RawTerminal>> create(int fd);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

  /// Back to what it was; idempotent, any thread.
  void suspend();
  /// Raw again, if this process group owns the terminal.
  void resume();

 private:
  RawTerminal() = default;
};

}  // namespace vmm
