// The memory slots of a machine: what KVM knows of guest memory.
#pragma once

#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "uvm/base/page_set.h"
#include "uvm/base/range.h"
#include "vmm/kvm/memslot.h"
#include "vmm/kvm/vm.h"

namespace vmm {

/// One slot a RAM range and file, for the machine's life. Thread-safe but for add(). The Vm outlives it.
class RamSlots {
 public:
  /// Errors: MemSlot::create.
  [[nodiscard]] uvm::Status add(const kvm::Vm& vm, uvm::GpaRange range, uvm::Hva hva, kvm::SlotAccess access);
  void clear() { slots_.clear(); }

  /// Drops every translation KVM has of a range, on nested and shadow paging alike; no vCPU runs meanwhile.
  /// A log of these slots is lost.
  void zap(uvm::GpaRange range) EXCLUDES(mutex_);

  /// From here on KVM notes what vCPUs write, for one at a time; each first write of a page is an exit to KVM
  /// of 1 to 3 microseconds. Takes milliseconds, in which the guest runs. Errors: Busy (it does already),
  /// Unsupported (no slots), KVM's.
  [[nodiscard]] uvm::Status start_log() EXCLUDES(mutex_);
  void stop_log() EXCLUDES(mutex_);
  /// Adds what was written since then or since the last call. Errors: Busy (the log was lost), KVM's.
  [[nodiscard]] uvm::Status take_log(uvm::PageSet& written) EXCLUDES(mutex_);

 private:
  void stop_log_locked() REQUIRES(mutex_);

  enum class Log { Off, On, Lost };

  const kvm::Vm* vm_ = nullptr;
  std::vector<kvm::MemSlot> slots_;
  mutable uvm::Mutex mutex_{uvm::LockRank::Leaf};  // over calls to KVM that change or read slots
  Log log_ GUARDED_BY(mutex_) = Log::Off;
};

}  // namespace vmm
