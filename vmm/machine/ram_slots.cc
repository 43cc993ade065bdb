#include "vmm/machine/ram_slots.h"

#include <cstdint>
#include <utility>

#include "uvm/base/bit_words.h"
#include "vmm/log.h"

namespace vmm {
namespace {

bool can_be_logged(const kvm::MemSlot& slot) {
  return slot.spec().access == kvm::SlotAccess::ReadWrite;
}

}  // namespace

uvm::Status RamSlots::add(const kvm::Vm& vm, uvm::GpaRange range, uvm::Hva hva, kvm::SlotAccess access) {
  vm_ = &vm;
  kvm::MemSlot::Spec spec{};
  spec.slot = static_cast<std::uint32_t>(slots_.size());
  spec.gpa = range;
  spec.hva = hva;
  spec.access = access;
  UVMM_TRY(auto slot, kvm::MemSlot::create(vm, spec));
  slots_.push_back(std::move(slot));
  return uvm::ok();
}

void RamSlots::zap(uvm::GpaRange range) {
  const uvm::MutexLock lock(mutex_);
  for (auto& slot : slots_) {
    if (!slot.spec().gpa.overlaps(range)) continue;
    if (log_ == Log::On) log_ = Log::Lost;
    auto done = slot.remove();
    if (done) done = slot.reinstate();
    if (!done) {
      log::event(log::Level::Error, "memory slot could not be zapped", {{"error", done.error().text()}});
    }
  }
}

uvm::Status RamSlots::start_log() {
  const uvm::MutexLock lock(mutex_);
  if (log_ != Log::Off) return uvm::Error(uvm::ErrorKind::Busy, "the guest's writes are being logged");
  if (slots_.empty()) return uvm::Error(uvm::ErrorKind::Unsupported, "there are no memory slots to log");
  log_ = Log::On;
  for (auto& slot : slots_) {
    if (!can_be_logged(slot)) continue;
    if (auto started = slot.set_dirty_log(kvm::DirtyLog::On); !started) {
      stop_log_locked();
      return started;
    }
  }
  return uvm::ok();
}

void RamSlots::stop_log() {
  const uvm::MutexLock lock(mutex_);
  stop_log_locked();
}

void RamSlots::stop_log_locked() {
  log_ = Log::Off;
  for (auto& slot : slots_) {
    if (auto stopped = slot.set_dirty_log(kvm::DirtyLog::Off); !stopped) {
      log::event(log::Level::Warning, "the log of a memory slot could not be stopped",
                 {{"error", stopped.error().text()}});
    }
  }
}

uvm::Status RamSlots::take_log(uvm::PageSet& written) {
  const uvm::MutexLock lock(mutex_);
  if (log_ != Log::On) return uvm::Error(uvm::ErrorKind::Busy, "the log of the guest's writes was lost");
  for (const auto& slot : slots_) {
    if (!can_be_logged(slot)) continue;
    std::vector<std::uint64_t> bits(uvm::words_for(slot.spec().gpa.pages()));
    UVMM_CHECK(vm_->dirty_log(slot.spec().slot, bits));
    written.add(slot.spec().gpa.begin(), bits);
  }
  return uvm::ok();
}

}  // namespace vmm
