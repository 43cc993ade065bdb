// How many copies of a machine, and copies of those, may run at once.
//
// A fork is made by whoever asks for it, in a process of its own, and any of the family may end first; so
// nobody is there to count. The kernel does: the family has one nameless file in memory, a byte of it for
// each place, and a member keeps its byte locked through a description of the file of its own. A member that
// ends, however it does, gives its place back. Nothing else crosses a process.
#pragma once

#include <cstdint>
#include <memory>

#include "uvm/base/error.h"
#include "vmm/kvm/fd.h"

namespace vmm::control {

/// The first machine takes no place. Thread-safe.
class Family {
 public:
  /// Of a machine that is nobody's copy. Errors: NoMemory, System.
  [[nodiscard]] static uvm::Result<std::shared_ptr<const Family>> create(std::uint32_t most);
  /// From a member's descriptor: with it comes the place that it holds, if it does. Errors: Invalid.
  [[nodiscard]] static uvm::Result<std::shared_ptr<const Family>> adopt(Fd fd);

  /// A place for one more, held as long as a copy of the descriptor is open; the child adopts it. Errors:
  /// Busy (all are taken), System.
  [[nodiscard]] uvm::Result<Fd> take_place() const;

  /// The descriptor, for those who want to join. Owned by the family.
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] std::uint32_t most() const { return most_; }

 private:
  Family(Fd fd, std::uint32_t most) : fd_(std::move(fd)), most_(most) {}

  const Fd fd_;
  const std::uint32_t most_;
};

}  // namespace vmm::control
