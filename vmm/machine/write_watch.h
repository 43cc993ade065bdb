// Which pages of RAM change while somebody copies them, whoever writes them.
#pragma once

#include "uvm/base/error.h"
#include "uvm/base/page_set.h"
#include "uvm/base/range.h"
#include "uvm/space.h"
#include "vmm/machine/ram_slots.h"

namespace vmm {

/// KVM's log of the vCPUs' writes and the space's of all others, as long as it lives. Not thread-safe. Slots
/// and space outlive it.
class WriteWatch {
 public:
  /// Errors: RamSlots::start_log, Space::start_write_log.
  [[nodiscard]] static uvm::Result<WriteWatch> start(RamSlots& slots, uvm::Space& space, uvm::GpaRange ram);
  WriteWatch(WriteWatch&& other) noexcept;
  WriteWatch& operator=(WriteWatch&&) = delete;
  /// Takes milliseconds.
  ~WriteWatch();

  /// Pages that were written since the start or the last call, or may be being written now. Errors:
  /// RamSlots::take_log: nothing is known then.
  [[nodiscard]] uvm::Result<uvm::PageSet> take();

 private:
  WriteWatch(RamSlots& slots, uvm::Space& space, uvm::GpaRange ram)
      : slots_(&slots), space_(space), ram_(ram) {}

  RamSlots* slots_;  // null when moved from
  uvm::Space& space_;
  uvm::GpaRange ram_;
};

}  // namespace vmm
