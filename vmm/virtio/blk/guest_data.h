// How a request's data and the host's file come together: the file is read into pages of the guest itself and
// written out of them, or, where that is cheaper or can't be, by way of a copy.
//
// All that one turn of the device needs pinned is one pin a direction, a scatter list, which ends with the
// last request of the turn. So a pin's price is paid once for many requests, and nothing is pinned while no
// request is under way. A pin that is refused (a memory limit, an owner's) is no error: the data is copied.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "uvm/base/error.h"
#include "uvm/pin_owner.h"
#include "uvm/space.h"
#include "vmm/virtio/blk/task.h"

namespace vmm::virtio::blk {

/// The device's thread.
class GuestData {
 public:
  /// Requests of so many bytes are copied; a pin of one page costs more than copying it.
  static constexpr std::uint64_t kCopied = 16 * 1024;

  GuestData(uvm::Space& space, std::shared_ptr<uvm::PinOwner> owner)
      : space_(space), owner_(std::move(owner)) {}

  /// Fills `parts` of each In and Out, so that a job of `request.bytes` can run. A request whose `error` is
  /// set then can't run.
  void lend(std::span<Task* const> tasks);
  /// The same of one, as a copy. Errors: those of Access::read(), NoMemory.
  [[nodiscard]] uvm::Status lend_copy(Task& task);
  /// The job is done: what was read comes to the guest, if it went well; the memory is let go. Errors: those
  /// of Access::write().
  [[nodiscard]] uvm::Status take_back(Task& task);

 private:
  void lend_pinned(std::span<Task* const> tasks, uvm::PinAccess access);
  void copy_or_fail(Task& task);

  uvm::Space& space_;
  const std::shared_ptr<uvm::PinOwner> owner_;
  std::vector<Task*> pinned_;  // of the turn that is looked at
  std::vector<uvm::GpaRange> pages_;
};

}  // namespace vmm::virtio::blk
