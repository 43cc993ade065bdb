// Copies of this machine that somebody inside asks for, each a process of its own.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>

#include "uvm/base/error.h"
#include "vmm/control/options.h"

namespace vmm::control {

struct Child {
  pid_t pid = 0;
  std::string socket;    // its control socket
  std::string debugger;  // path of the unix socket where its debugger's door is
};

/// A copy is what `uvmm fork` makes of the machine's control socket, and that is how it is made here too. It
/// lives on when this process ends, and a terminal's signals do not reach it.
/// Thread-safe; any thread but the control socket's.
class Children {
 public:
  /// `options` of the machine itself, with a socket and a starter.
  Children(Options options, std::string name) : options_(std::move(options)), name_(std::move(name)) {}
  ~Children() = default;
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;

  /// Keeps options.ready_copies ready; once the control socket is there. Without them each copy takes longer.
  void keep_ready() const;
  /// Returns when it answers at its control socket. Errors: System (no process); Unsupported (it has ended
  /// instead, and has said why on this process's stderr); Busy (it does not answer within kPatience).
  [[nodiscard]] uvm::Result<Child> start();

 private:
  static constexpr int kPatience = 30;  // seconds

  [[nodiscard]] uvm::Status wait_for(const Child& child) const;

  const Options options_;
  const std::string name_;
};

}  // namespace vmm::control
