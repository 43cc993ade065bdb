#include "vmm/snapshot/vcpu_state.h"

#include <algorithm>
#include <array>

#include "uvm/base/range.h"
#include "vmm/snapshot/field_lists.h"

namespace vmm::snapshot {
namespace {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;
using uvm::Status;

constexpr std::uint32_t kMsrTsc = 0x10;
constexpr std::uint32_t kMsrTscDeadline = 0x6e0;

constexpr std::size_t kMostCpuid = 256;  // KVM_MAX_CPUID_ENTRIES
constexpr std::size_t kMostMsrs = 4096;
constexpr std::size_t kMostXsave = 64 << 10;  // bytes; AMX needs 11 KiB

/// The clock before what is measured by it, the deadline after everything.
int rank_of(std::uint32_t msr) {
  if (msr == kMsrTsc) return 0;
  return msr == kMsrTscDeadline ? 2 : 1;
}

}  // namespace

void VcpuState::state(devices::StateFields& fields) {
  list(fields, cpuid_, kMostCpuid, "CPUID");
  structure(fields, mp_state_, "mp state");
  structure(fields, regs_, "registers");
  structure(fields, sregs_, "system registers");
  list(fields, xsave_, kMostXsave / sizeof(std::uint32_t), "XSAVE area");
  structure(fields, xcrs_, "XCRs");
  structure(fields, debug_regs_, "debug registers");
  structure(fields, lapic_, "local APIC");
  list(fields, msrs_, kMostMsrs, "MSRs");
  structure(fields, events_, "pending events");
}

std::vector<std::uint32_t> VcpuState::readable_msrs(const kvm::Vcpu& vcpu,
                                                    std::span<const std::uint32_t> candidates) {
  std::vector<std::uint32_t> readable;
  for (const std::uint32_t index : candidates) {
    std::array<kvm_msr_entry, 1> one{};
    one[0].index = index;
    if (vcpu.msrs(one)) readable.push_back(index);
  }
  std::ranges::stable_sort(readable, {}, rank_of);
  return readable;
}

Result<VcpuState> VcpuState::take(kvm::Vcpu& vcpu, std::span<const std::uint32_t> msrs) {
  VcpuState taken;
  // First, because reading it lets KVM deliver a SIPI that waits.
  UVMM_TRY(taken.mp_state_, vcpu.mp_state());
  UVMM_TRY(taken.cpuid_, vcpu.cpuid());
  UVMM_TRY(taken.regs_, vcpu.regs());
  UVMM_TRY(taken.sregs_, vcpu.sregs());
  UVMM_TRY(taken.xsave_, vcpu.xsave());
  UVMM_TRY(taken.xcrs_, vcpu.xcrs());
  UVMM_TRY(taken.debug_regs_, vcpu.debug_regs());
  UVMM_TRY(taken.lapic_, vcpu.lapic());
  taken.msrs_.resize(msrs.size());
  for (std::size_t i = 0; i < msrs.size(); ++i) taken.msrs_[i].index = msrs[i];
  UVMM_CHECK(vcpu.msrs(taken.msrs_));
  UVMM_TRY(taken.events_, vcpu.events());
  return taken;
}

void VcpuState::advance_tsc(std::uint64_t ticks) {
  for (kvm_msr_entry& msr : msrs_) {
    if (msr.index == kMsrTsc) msr.data += ticks;
  }
}

Status VcpuState::give(kvm::Vcpu& vcpu) const {
  UVMM_CHECK(vcpu.set_regs(regs_));
  // Where the local APIC is comes with the system registers, and what is in it behind.
  UVMM_CHECK(vcpu.set_sregs(sregs_));
  UVMM_CHECK(vcpu.set_xcrs(xcrs_));
  UVMM_CHECK(vcpu.set_xsave(xsave_));
  UVMM_CHECK(vcpu.set_debug_regs(debug_regs_));
  UVMM_CHECK(vcpu.set_lapic(lapic_));
  UVMM_CHECK(give_msrs(vcpu));
  UVMM_CHECK(vcpu.set_mp_state(mp_state_));
  return vcpu.set_events(events_);
}

/// All at once where KVM takes them; else one by one, and what it does not take has to be so already.
Status VcpuState::give_msrs(kvm::Vcpu& vcpu) const {
  if (vcpu.set_msrs(msrs_)) return uvm::ok();
  for (const kvm_msr_entry& wanted : msrs_) {
    if (vcpu.set_msrs(std::span(&wanted, 1))) continue;
    std::array<kvm_msr_entry, 1> there{};
    there[0].index = wanted.index;
    if (vcpu.msrs(there) && there[0].data == wanted.data) continue;
    return Error(ErrorKind::Unsupported,
                 "vCPU " + std::to_string(vcpu.id()) + ": KVM does not take MSR " + uvm::hex(wanted.index) +
                     " back as " + uvm::hex(wanted.data),
                 "restore it on a host like the one it was saved on");
  }
  return uvm::ok();
}

}  // namespace vmm::snapshot
