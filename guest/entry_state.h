// The boot vCPU's registers at the first guest instruction, in plain values: the machine copies them into
// KVM's structures field by field (the names are those of struct kvm_segment, kvm_sregs and kvm_regs).
#pragma once

#include <cstdint>
#include <string_view>

#include "uvm/base/units.h"

namespace guest {

enum class CpuMode {
  Real16,       // paging off, 16-bit segments
  Protected32,  // paging off, flat 32-bit segments
  Long64,       // identity page tables, flat 64-bit code segment
};
[[nodiscard]] std::string_view to_string(CpuMode mode);

/// One segment register with its hidden part. `limit` is in bytes, granularity already applied.
struct SegmentRegister {
  std::uint16_t selector = 0;
  std::uint64_t base = 0;
  std::uint32_t limit = 0;
  std::uint8_t type = 0;     // SDM vol. 3, table 3-1 (code/data, accessed bit set) or 3-2 (system)
  std::uint8_t present = 0;  // the one-bit fields are 0 or 1, as KVM takes them
  std::uint8_t dpl = 0;
  std::uint8_t db = 0;
  std::uint8_t s = 0;
  std::uint8_t l = 0;
  std::uint8_t g = 0;
  std::uint8_t unusable = 0;

  friend bool operator==(const SegmentRegister&, const SegmentRegister&) = default;
};

struct EntryState {
  CpuMode mode = CpuMode::Real16;

  std::uint64_t rip = 0;
  std::uint64_t rsp = 0;
  std::uint64_t rflags = 2;  // interrupts off; bit 1 reads as one
  std::uint64_t rax = 0;
  std::uint64_t rbx = 0;
  std::uint64_t rcx = 0;
  std::uint64_t rdx = 0;
  std::uint64_t rsi = 0;
  std::uint64_t rdi = 0;
  std::uint64_t rbp = 0;

  std::uint64_t cr0 = 0;
  std::uint64_t cr3 = 0;
  std::uint64_t cr4 = 0;
  std::uint64_t efer = 0;

  SegmentRegister cs, ds, es, fs, gs, ss;
  SegmentRegister tr;   // a busy TSS: VMX refuses to enter without one
  SegmentRegister ldt;  // unusable

  std::uint64_t gdt_base = 0;
  std::uint16_t gdt_limit = 0;
  std::uint64_t idt_base = 0;
  std::uint16_t idt_limit = 0;  // 0 outside real mode: an early fault is a triple fault, which we report
};

}  // namespace guest
