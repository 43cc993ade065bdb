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
/// is to run one command, which is fixed when it is made, with a number at its end. It has stderr and its
/// socket and no other descriptor, ignores the terminal's signals, and ends when this process does; what it
/// has started lives on.
/// Thread-safe.
class Starter {
 public:
  struct Plan {
    std::vector<std::string> words;  // the first is a path
    std::function<std::string(unsigned number)> last_word;
    /// Called in the new process first, which ends if it fails. May be empty.
    std::function<uvm::Status()> begin;
  };
  /// This process has one thread. Errors: System.
  [[nodiscard]] static uvm::Result<std::shared_ptr<Starter>> create(const Plan& plan);
  /// Waits until the process has ended, which it does at once.
  ~Starter();
  Starter(const Starter&) = delete;
  Starter& operator=(const Starter&) = delete;

  /// Runs the command, stdin and stdout at /dev/null, in a process group of its own. Errors: System.
  [[nodiscard]] uvm::Result<pid_t> start(unsigned number) const;
  /// Whether a process of its own has ended. True also if it cannot be asked any more.
  [[nodiscard]] bool has_ended(pid_t pid) const;

 private:
  Starter(Fd socket, Fd process) : socket_(std::move(socket)), process_(std::move(process)) {}
  /// A negative errno if nobody answers.
  [[nodiscard]] std::int64_t ask(std::uint32_t verb, std::uint32_t number) const EXCLUDES(mutex_);

  Fd socket_;
  const Fd process_;                               // a pidfd
  mutable uvm::Mutex mutex_{uvm::LockRank::Leaf};  // one question at a time
};

}  // namespace vmm::control
