// The process that starts copies of a machine, which may start nothing itself.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "vmm/kvm/fd.h"

namespace vmm::control {

/// A child of this process, made before it has a guest in it and before it is confined: what a confined
/// process starts is confined like itself, and a machine needs more than that to begin. All it can be asked
/// is to run one command, which is fixed when it is made, with a number at its end. It has stderr, its socket
/// and its pipes and no other descriptor, ignores the terminal's signals, and ends when this process does;
/// what it has started lives on.
///
/// Some can be kept ready: the same command with a word more, started before anybody wants it, which gets as
/// far as it can and then waits for a line on stdin. One whose stdin ends without is not wanted any more.
/// Thread-safe.
class Starter {
 public:
  struct Plan {
    std::vector<std::string> words;                         // the first is a path
    std::function<std::string(unsigned number)> last_word;  // 1 for the first that is started
    std::string ready_word;                                 // after it, of those that are kept ready
    /// Called in the new process first, which ends if it fails. May be empty.
    std::function<uvm::Status()> begin;
  };
  /// This process has one thread. Errors: System.
  [[nodiscard]] static uvm::Result<std::shared_ptr<Starter>> create(const Plan& plan);
  /// Waits until the process has ended, which it does at once.
  ~Starter();
  Starter(const Starter&) = delete;
  Starter& operator=(const Starter&) = delete;

  struct Started {
    pid_t pid = 0;
    unsigned number = 0;
  };
  /// Runs the command, stdin and stdout at /dev/null, in a process group of its own; or lets one that is
  /// ready begin, whose place another one takes. Errors: System.
  [[nodiscard]] uvm::Result<Started> start() const;
  /// From now on so many are kept ready. Errors: System (they are started without).
  [[nodiscard]] uvm::Status keep_ready(unsigned count) const;
  /// Whether a process of its own has ended. True also if it cannot be asked any more.
  [[nodiscard]] bool has_ended(pid_t pid) const;

 private:
  Starter(Fd socket, Fd process) : socket_(std::move(socket)), process_(std::move(process)) {}
  struct Request;
  struct Answer;
  class Process;
  /// A negative errno if nobody answers.
  [[nodiscard]] Answer ask(const Request& request) const EXCLUDES(mutex_);

  Fd socket_;
  const Fd process_;                               // a pidfd
  mutable uvm::Mutex mutex_{uvm::LockRank::Leaf};  // one question at a time
};

}  // namespace vmm::control
