#include "vmm/debug/registers.h"

#include <array>
#include <chrono>
#include <cstring>
#include <string>

#include "uvm/base/range.h"

namespace vmm::debug {
namespace {

using gdb::RegisterFile;
using gdb::RegisterGroups;
using uvm::Error;
using uvm::ErrorKind;
using uvm::Status;

/// kvm_regs' members in RegisterFile's order.
constexpr std::array<__u64 kvm_regs::*, gdb::kGprs> kGeneral{
    &kvm_regs::rax, &kvm_regs::rbx, &kvm_regs::rcx, &kvm_regs::rdx, &kvm_regs::rsi, &kvm_regs::rdi,
    &kvm_regs::rbp, &kvm_regs::rsp, &kvm_regs::r8,  &kvm_regs::r9,  &kvm_regs::r10, &kvm_regs::r11,
    &kvm_regs::r12, &kvm_regs::r13, &kvm_regs::r14, &kvm_regs::r15};
constexpr std::array<kvm_segment kvm_sregs::*, gdb::kSegments> kSegmentsOf{
    &kvm_sregs::cs, &kvm_sregs::ss, &kvm_sregs::ds, &kvm_sregs::es,
    &kvm_sregs::fs, &kvm_sregs::gs, &kvm_sregs::tr, &kvm_sregs::ldt};
constexpr std::size_t kFirstSystemSegment = static_cast<std::size_t>(gdb::Segment::Tr);
constexpr std::uint64_t kCr0ProtectionEnable = 1;
/// Control registers, member by member.
struct Control {
  __u64 kvm_sregs::*kvm;
  std::uint64_t RegisterFile::*file;
};
constexpr std::array<Control, 7> kControls{{{&kvm_sregs::cr0, &RegisterFile::cr0},
                                            {&kvm_sregs::cr2, &RegisterFile::cr2},
                                            {&kvm_sregs::cr3, &RegisterFile::cr3},
                                            {&kvm_sregs::cr4, &RegisterFile::cr4},
                                            {&kvm_sregs::cr8, &RegisterFile::cr8},
                                            {&kvm_sregs::efer, &RegisterFile::efer},
                                            {&kvm_sregs::apic_base, &RegisterFile::apic_base}}};

Status read_general(kvm::Vcpu& vcpu, RegisterFile& file) {
  UVMM_TRY(const kvm_regs regs, vcpu.regs());
  for (std::size_t i = 0; i < kGeneral.size(); ++i) file.gpr[i] = regs.*kGeneral[i];
  file.rip = regs.rip;
  file.rflags = regs.rflags;
  return uvm::ok();
}

Status read_system(kvm::Vcpu& vcpu, RegisterFile& file) {
  UVMM_TRY(const kvm_sregs sregs, vcpu.sregs());
  for (std::size_t i = 0; i < kSegmentsOf.size(); ++i) {
    const kvm_segment& segment = sregs.*kSegmentsOf[i];
    file.segments[i] = {segment.selector, segment.base};
  }
  for (const Control& control : kControls) file.*control.file = sregs.*control.kvm;
  file.gdtr = {sregs.gdt.base, sregs.gdt.limit};
  file.idtr = {sregs.idt.base, sregs.idt.limit};
  return uvm::ok();
}

Status read_debug(const kvm::Vcpu& vcpu, RegisterFile& file) {
  UVMM_TRY(const kvm_debugregs debug, vcpu.debug_regs());
  for (std::size_t i = 0; i < 4; ++i) file.dr[i] = debug.db[i];
  file.dr[6] = debug.dr6;
  file.dr[7] = debug.dr7;
  return uvm::ok();
}

/// Those that stay as they are while the guest doesn't run.
constexpr std::array kStillMsrs{gdb::Msr::KernelGsBase, gdb::Msr::Star,   gdb::Msr::Lstar,
                                gdb::Msr::Cstar,        gdb::Msr::Sfmask, gdb::Msr::Pat};

Status read_msrs(const kvm::Vcpu& vcpu, RegisterFile& file) {
  std::array<kvm_msr_entry, kStillMsrs.size()> entries{};
  for (std::size_t i = 0; i < entries.size(); ++i) entries[i].index = gdb::msr_number(kStillMsrs[i]);
  UVMM_CHECK(vcpu.msrs(entries));
  for (std::size_t i = 0; i < entries.size(); ++i) file[kStillMsrs[i]] = entries[i].data;
  return uvm::ok();
}

uvm::Result<std::uint64_t> read_counter(const kvm::Vcpu& vcpu) {
  kvm_msr_entry entry{};
  entry.index = gdb::msr_number(gdb::Msr::Tsc);
  UVMM_CHECK(vcpu.msrs(std::span(&entry, 1)));
  return entry.data;
}

Status write_general(kvm::Vcpu& vcpu, const RegisterFile& file) {
  UVMM_TRY(kvm_regs regs, vcpu.regs());
  for (std::size_t i = 0; i < kGeneral.size(); ++i) regs.*kGeneral[i] = file.gpr[i];
  regs.rip = file.rip;
  regs.rflags = file.rflags;
  return vcpu.set_regs(regs);
}

/// `sregs` with what the file changes.
Status merge_system(const RegisterFile& file, kvm_sregs& sregs) {
  for (std::size_t i = 0; i < kSegmentsOf.size(); ++i) {
    kvm_segment& segment = sregs.*kSegmentsOf[i];
    const bool plain = (file.cr0 & kCr0ProtectionEnable) == 0 && i < kFirstSystemSegment;
    if (segment.selector != file.segments[i].selector && !plain) {
      return Error(ErrorKind::Unsupported,
                   "a selector cannot be written: limit and rights would stay the old ones",
                   "write the base register, or let the guest load it");
    }
    segment.selector = file.segments[i].selector;
    segment.base = file.segments[i].base;
  }
  for (const Control& control : kControls) sregs.*control.kvm = file.*control.file;
  sregs.gdt.base = file.gdtr.base;
  sregs.gdt.limit = file.gdtr.limit;
  sregs.idt.base = file.idtr.base;
  sregs.idt.limit = file.idtr.limit;
  return uvm::ok();
}

Status write_debug(kvm::Vcpu& vcpu, const RegisterFile& file) {
  UVMM_TRY(kvm_debugregs debug, vcpu.debug_regs());
  for (std::size_t i = 0; i < 4; ++i) debug.db[i] = file.dr[i];
  debug.dr6 = file.dr[6];
  debug.dr7 = file.dr[7];
  return vcpu.set_debug_regs(debug);
}

Status set_msr(kvm::Vcpu& vcpu, gdb::Msr which, std::uint64_t value) {
  kvm_msr_entry entry{};
  entry.index = gdb::msr_number(which);
  entry.data = value;
  return vcpu.set_msrs(std::span(&entry, 1));
}

Status write_msrs(kvm::Vcpu& vcpu, const RegisterFile& file) {
  // Only what changes: some hosts refuse to be told what they have said.
  RegisterFile now;
  UVMM_CHECK(read_msrs(vcpu, now));
  for (const gdb::Msr which : kStillMsrs) {
    if (now[which] != file[which]) UVMM_CHECK(set_msr(vcpu, which, file[which]));
  }
  return uvm::ok();
}

/// Says so when KVM has ignored it: hosts without a way to shift a guest's counter do, and so does one that
/// takes a small change for an attempt to bring vCPUs in step.
Status write_counter(kvm::Vcpu& vcpu, std::uint64_t value) {
  constexpr std::uint64_t kMostPerNanosecond = 10;  // no processor counts faster
  constexpr std::uint64_t kRounding = std::uint64_t{1} << 16;
  const auto begin = std::chrono::steady_clock::now();
  UVMM_CHECK(set_msr(vcpu, gdb::Msr::Tsc, value));
  UVMM_TRY(const std::uint64_t now, read_counter(vcpu));
  const auto took = std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin).count();
  const std::uint64_t most = static_cast<std::uint64_t>(took) * kMostPerNanosecond + kRounding;
  if (now - value + kRounding <= most + kRounding) return uvm::ok();
  return Error(ErrorKind::Unsupported,
               "tsc did not take the value: this host's KVM counts on from " + uvm::hex(now));
}

/// The groups that are written after the system registers.
Status write_rest(kvm::Vcpu& vcpu, RegisterGroups groups, const RegisterFile& file) {
  if (contains(groups, RegisterGroups::Vector) && !file.xsave.empty()) UVMM_CHECK(vcpu.set_xsave(file.xsave));
  if (contains(groups, RegisterGroups::Debug)) UVMM_CHECK(write_debug(vcpu, file));
  if (contains(groups, RegisterGroups::Msr)) UVMM_CHECK(write_msrs(vcpu, file));
  if (contains(groups, RegisterGroups::Counter)) UVMM_CHECK(write_counter(vcpu, file[gdb::Msr::Tsc]));
  if (contains(groups, RegisterGroups::General)) UVMM_CHECK(write_general(vcpu, file));
  return uvm::ok();
}

}  // namespace

Status read_registers(kvm::Vcpu& vcpu, RegisterGroups groups, RegisterFile& file) {
  if (contains(groups, RegisterGroups::General)) UVMM_CHECK(read_general(vcpu, file));
  if (contains(groups, RegisterGroups::System)) UVMM_CHECK(read_system(vcpu, file));
  if (contains(groups, RegisterGroups::Vector)) {
    UVMM_TRY(file.xsave, vcpu.xsave());
  }
  if (contains(groups, RegisterGroups::Debug)) UVMM_CHECK(read_debug(vcpu, file));
  if (contains(groups, RegisterGroups::Msr)) UVMM_CHECK(read_msrs(vcpu, file));
  if (contains(groups, RegisterGroups::Counter)) {
    UVMM_TRY(file[gdb::Msr::Tsc], read_counter(vcpu));
  }
  return uvm::ok();
}

Status write_registers(kvm::Vcpu& vcpu, RegisterGroups groups, const RegisterFile& file) {
  if (!contains(groups, RegisterGroups::System)) return write_rest(vcpu, groups, file);
  UVMM_TRY(const kvm_sregs before, vcpu.sregs());
  kvm_sregs after = before;
  UVMM_CHECK(merge_system(file, after));
  if (std::memcmp(&before, &after, sizeof(before)) == 0) return write_rest(vcpu, groups, file);
  UVMM_CHECK(vcpu.set_sregs(after));
  auto status = write_rest(vcpu, groups, file);
  if (!status) static_cast<void>(vcpu.set_sregs(before));
  return status;
}

uvm::Result<gdb::XsaveLayout> xsave_layout(const kvm::Vcpu& vcpu) {
  UVMM_TRY(const auto cpuid, vcpu.cpuid());
  constexpr std::uint32_t kXsaveLeaf = 0xd;
  std::uint64_t components = 0;
  for (const auto& leaf : cpuid) {
    if (leaf.function == kXsaveLeaf && leaf.index == 0) components = std::uint64_t{leaf.edx} << 32 | leaf.eax;
  }
  gdb::XsaveLayout layout;
  for (const auto& leaf : cpuid) {
    if (leaf.function != kXsaveLeaf || leaf.index < 2 || leaf.index >= 64) continue;
    if ((components >> leaf.index & 1) == 0) continue;
    if (leaf.index == 2) layout.avx = leaf.ebx;
    if (leaf.index == 5) layout.opmask = leaf.ebx;
    if (leaf.index == 6) layout.zmm_hi256 = leaf.ebx;
    if (leaf.index == 7) layout.hi16_zmm = leaf.ebx;
    if (leaf.index == 9) layout.pkru = leaf.ebx;
  }
  return layout;
}

}  // namespace vmm::debug
