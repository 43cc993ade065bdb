#include "vmm/machine/boot_state.h"

#include <array>

namespace vmm {
namespace {

constexpr std::uint32_t kMsrMiscEnable = 0x1a0;
constexpr std::uint64_t kFastStrings = 1;
constexpr std::uint32_t kMsrMtrrDefaultType = 0x2ff;
constexpr std::uint64_t kMtrrEnabledWriteBack = (1U << 11) | 6;

kvm_segment segment(const guest::SegmentRegister& from) {
  kvm_segment to{};
  to.base = from.base;
  to.limit = from.limit;
  to.selector = from.selector;
  to.type = from.type;
  to.present = from.present;
  to.dpl = from.dpl;
  to.db = from.db;
  to.s = from.s;
  to.l = from.l;
  to.g = from.g;
  to.unusable = from.unusable;
  return to;
}

uvm::Status set_system_registers(kvm::Vcpu& vcpu, const guest::EntryState& entry) {
  UVMM_TRY(kvm_sregs sregs, vcpu.sregs());
  sregs.cs = segment(entry.cs);
  sregs.ds = segment(entry.ds);
  sregs.es = segment(entry.es);
  sregs.fs = segment(entry.fs);
  sregs.gs = segment(entry.gs);
  sregs.ss = segment(entry.ss);
  sregs.tr = segment(entry.tr);
  sregs.ldt = segment(entry.ldt);
  sregs.gdt.base = entry.gdt_base;
  sregs.gdt.limit = entry.gdt_limit;
  sregs.idt.base = entry.idt_base;
  sregs.idt.limit = entry.idt_limit;
  sregs.cr0 = entry.cr0;
  sregs.cr3 = entry.cr3;
  sregs.cr4 = entry.cr4;
  sregs.efer = entry.efer;
  return vcpu.set_sregs(sregs);
}

uvm::Status set_general_registers(kvm::Vcpu& vcpu, const guest::EntryState& entry) {
  kvm_regs regs{};
  regs.rip = entry.rip;
  regs.rsp = entry.rsp;
  regs.rflags = entry.rflags;
  regs.rax = entry.rax;
  regs.rbx = entry.rbx;
  regs.rcx = entry.rcx;
  regs.rdx = entry.rdx;
  regs.rsi = entry.rsi;
  regs.rdi = entry.rdi;
  regs.rbp = entry.rbp;
  return vcpu.set_regs(regs);
}

}  // namespace

uvm::Status set_boot_state(kvm::Vcpu& vcpu, const guest::EntryState& entry) {
  UVMM_CHECK(set_system_registers(vcpu, entry));
  UVMM_CHECK(set_general_registers(vcpu, entry));
  // Both are conveniences: a KVM that refuses one leaves a machine that still boots.
  for (const auto& [index, value] :
       {std::pair{kMsrMiscEnable, kFastStrings}, std::pair{kMsrMtrrDefaultType, kMtrrEnabledWriteBack}}) {
    std::array<kvm_msr_entry, 1> entries{};
    entries[0].index = index;
    entries[0].data = value;
    (void)vcpu.set_msrs(entries);
  }
  return uvm::ok();
}

}  // namespace vmm
