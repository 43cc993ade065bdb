// The debugger's end of a copy's door: what a session knows of a machine that was forked from its own.
//
// The copy is a process of its own whose gdb server has found the other end of this socket open when it began
// (Options::inherited). It speaks the remote protocol like any other, without acknowledgements. Closing the
// socket lets the copy go, at whatever point, and so does the end of this process.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "uvm/base/error.h"
#include "vmm/gdb/target.h"
#include "vmm/kvm/fd.h"

namespace vmm::gdb {

/// Thread: the server's. greet() and ask() wait for the copy, kPatience at most.
class CopyDoor {
 public:
  static constexpr int kPatience = 30;  // seconds

  explicit CopyDoor(Fd socket) : socket_(std::move(socket)) {}

  /// Waits for the copy to be there, which then is stopped for its debugger; its first thread. `announced` is
  /// what the debugger's qSupported had behind its name. Errors: EndOfObject (there will be none, or another
  /// debugger has come in by the copy's own door), Busy (it does not answer), System.
  [[nodiscard]] uvm::Result<ThreadId> greet(std::string_view announced);
  [[nodiscard]] ThreadId first_thread() const { return first_; }
  /// A debugger takes a copy's threads that it finds in a list for ones it has not heard of, unless it has
  /// decided to keep the copy and has selected it.
  [[nodiscard]] bool is_listed() const { return listed_; }
  void list() { listed_ = true; }

  /// Payloads that come before the answer: console output of a monitor's command.
  using Output = std::function<void(std::string_view payload)>;
  /// The answer to a packet, escaped as it came. Errors as greet().
  [[nodiscard]] uvm::Result<std::string> ask(std::string_view packet, const Output& output);

  /// Lets it run: its answer comes later, by poll(). Errors as greet().
  [[nodiscard]] uvm::Status resume(std::string_view packet);
  /// Asks it to stop, as 0x03 does.
  void interrupt() { static_cast<void>(send("\x03")); }
  /// A whole payload, if there is one by now; never waits. Errors as greet().
  [[nodiscard]] uvm::Result<std::optional<std::string>> poll();
  /// What to wait for before poll().
  [[nodiscard]] int fd() const { return socket_.get(); }

 private:
  [[nodiscard]] uvm::Status send(std::string_view bytes);
  /// The next packet's payload.
  [[nodiscard]] uvm::Result<std::string> receive();

  Fd socket_;
  ThreadId first_;
  bool listed_ = false;
  std::string bytes_;  // received, not yet looked at
};

}  // namespace vmm::gdb
