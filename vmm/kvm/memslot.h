// A guest-physical range backed by host memory, for as long as the object lives.
#pragma once

#include <cstdint>
#include <string>

#include "uvm/base/error.h"
#include "uvm/base/range.h"
#include "uvm/base/units.h"

namespace vmm::kvm {

class Vm;

enum class SlotAccess {
  ReadWrite,
  ReadOnly,  // a guest write leaves as an MMIO exit with address and data
};
enum class DirtyLog { Off, On };

/// RAII over one KVM memory slot. It does not own the host memory: whoever maps [hva, hva + size) keeps it
/// mapped until the slot is gone. The Vm must outlive it.
/// Thread: calls on one slot must not overlap. Each is a stage-2 operation of 0.1–0.6 ms, sometimes 9 ms
/// (an RCU grace period): keep slot changes off latency paths; change mappings under a fixed HVA instead.
class MemSlot {
 public:
  struct Spec {
    std::uint32_t slot;  // id, unique in the VM
    uvm::GpaRange gpa;   // page-aligned, not empty, not overlapping another slot
    uvm::Hva hva;        // page-aligned start of the host mapping
    SlotAccess access = SlotAccess::ReadWrite;
    DirtyLog dirty_log = DirtyLog::Off;
  };

  /// Errors name slot, GPA range and HVA: Invalid (misaligned, beyond the host's address width), Busy
  /// (overlap with another slot), NoMemory.
  static uvm::Result<MemSlot> create(const Vm& vm, const Spec& spec);

  MemSlot(MemSlot&& other) noexcept;
  MemSlot& operator=(MemSlot&& other) noexcept;
  MemSlot(const MemSlot&) = delete;
  MemSlot& operator=(const MemSlot&) = delete;
  ~MemSlot();

  /// Takes the slot out: every stage-2 entry of the range is gone when it returns, guest accesses become MMIO
  /// exits. With reinstate() this is the zap the pmap uses; no vCPU may run in between. Twice is harmless.
  uvm::Status remove();
  /// Puts it back exactly as it was. Twice is harmless.
  uvm::Status reinstate();
  /// Switches the dirty log without losing the slot.
  uvm::Status set_dirty_log(DirtyLog mode);

  [[nodiscard]] const Spec& spec() const { return spec_; }
  [[nodiscard]] bool installed() const { return installed_; }

 private:
  MemSlot(int vm_fd, const Spec& spec) : vm_fd_(vm_fd), spec_(spec) {}
  uvm::Status install(std::uint64_t bytes);

  int vm_fd_;  // the Vm's; -1 when moved from
  Spec spec_;
  bool installed_ = false;
};

/// "slot 2, gpa 0x100000+0x2000, hva 0x7f…": how messages name a slot.
[[nodiscard]] std::string to_string(const MemSlot::Spec& spec);

}  // namespace vmm::kvm
