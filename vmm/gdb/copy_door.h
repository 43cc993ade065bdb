// The debugger's end of a copy's door: what a session knows of a machine that was forked from its own.
//
// The copy is a process of its own whose gdb server has found the other end of this socket open when it began
// (Options::inherited). It speaks the remote protocol like any other, without acknowledgements. Closing the
// socket lets the copy go, at whatever point, and so does the end of this process.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "uvm/base/error.h"
#include "vmm/gdb/target.h"
#include "vmm/kvm/fd.h"

namespace vmm::gdb {

/// Thread: the server's. Each call waits for the copy, kPatience at most.
class CopyDoor {
 public:
  static constexpr int kPatience = 30;  // seconds

  explicit CopyDoor(Fd socket) : socket_(std::move(socket)) {}

  /// Waits for the copy to be there, which then is stopped for its debugger; its first thread. `announced` is
  /// what the debugger's qSupported had behind its name. Errors: EndOfObject (there will be none, or another
  /// debugger has come in by the copy's own door), Busy (it does not answer), System.
  [[nodiscard]] uvm::Result<ThreadId> greet(std::string_view announced);
  [[nodiscard]] ThreadId first_thread() const { return first_; }

  /// Payloads that come before the answer: console output of a monitor's command.
  using Output = std::function<void(std::string_view payload)>;
  /// The answer to a packet, escaped as it came. Errors as greet().
  [[nodiscard]] uvm::Result<std::string> ask(std::string_view packet, const Output& output);

 private:
  [[nodiscard]] uvm::Status send(std::string_view bytes);
  /// The next packet's payload.
  [[nodiscard]] uvm::Result<std::string> receive();

  Fd socket_;
  ThreadId first_;
  std::string bytes_;  // received, not yet looked at
};

}  // namespace vmm::gdb
