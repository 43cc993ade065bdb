// Vcpu, second part: the state that is read and written by one ioctl each.
#include <algorithm>
#include <cerrno>
#include <string>

#include "uvm/base/range.h"
#include "vmm/kvm/abi.h"
#include "vmm/kvm/ioctl.h"
#include "vmm/kvm/vcpu.h"

namespace vmm::kvm {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;
using uvm::Status;

template <class T>
Result<T> Vcpu::get(unsigned long request, const char* name) const {
  T value{};
  if (call(fd_.get(), request, &value) < 0) return error(name);
  return value;
}

template <class T>
Status Vcpu::set(unsigned long request, const T& value, const char* name) {
  if (call(fd_.get(), request, &value) < 0) return error(name);
  return uvm::ok();
}

// regs() and set_regs() use these two from vcpu.cc.
template Result<kvm_regs> Vcpu::get<kvm_regs>(unsigned long, const char*) const;
template Status Vcpu::set<kvm_regs>(unsigned long, const kvm_regs&, const char*);

Result<kvm_sregs> Vcpu::sregs() {
  return get<kvm_sregs>(KVM_GET_SREGS, "KVM_GET_SREGS");
}

Status Vcpu::set_sregs(const kvm_sregs& sregs) {
  return set(KVM_SET_SREGS, sregs, "KVM_SET_SREGS");
}

Status Vcpu::set_cpuid(std::span<const kvm_cpuid_entry2> entries) {
  Flexible<abi::CpuidHeader, kvm_cpuid_entry2> table(entries);
  if (call(fd_.get(), abi::kSetCpuid2, &table.header()) < 0) return error("KVM_SET_CPUID2");
  return uvm::ok();
}

Result<std::vector<kvm_cpuid_entry2>> Vcpu::cpuid() const {
  Flexible<abi::CpuidHeader, kvm_cpuid_entry2> table(std::size_t{256});  // KVM_MAX_CPUID_ENTRIES
  if (call(fd_.get(), abi::kGetCpuid2, &table.header()) < 0) return error("KVM_GET_CPUID2");
  return table.entries();
}

namespace {

Error refused_msr(std::uint32_t vcpu, const char* verb, std::uint32_t index) {
  return {ErrorKind::Unsupported,
          "vCPU " + std::to_string(vcpu) + ": KVM refused to " + verb + " MSR " + uvm::hex(index)};
}

}  // namespace

Status Vcpu::msrs(std::span<kvm_msr_entry> msrs) const {
  Flexible<abi::MsrsHeader, kvm_msr_entry> table{std::span<const kvm_msr_entry>(msrs)};
  const int done = call(fd_.get(), abi::kGetMsrs, &table.header());
  if (done < 0) return error("KVM_GET_MSRS");
  if (const auto index = static_cast<std::size_t>(done); index < msrs.size()) {
    return refused_msr(id_, "read", msrs[index].index);
  }
  const std::vector<kvm_msr_entry> read = table.entries();
  std::copy(read.begin(), read.end(), msrs.begin());
  return uvm::ok();
}

Status Vcpu::set_msrs(std::span<const kvm_msr_entry> msrs) {
  Flexible<abi::MsrsHeader, kvm_msr_entry> table(msrs);
  const int done = call(fd_.get(), abi::kSetMsrs, &table.header());
  if (done < 0) return error("KVM_SET_MSRS");
  if (const auto index = static_cast<std::size_t>(done); index < msrs.size()) {
    return refused_msr(id_, "write", msrs[index].index);
  }
  return uvm::ok();
}

Result<kvm_fpu> Vcpu::fpu() const {
  return get<kvm_fpu>(KVM_GET_FPU, "KVM_GET_FPU");
}

Status Vcpu::set_fpu(const kvm_fpu& fpu) {
  return set(KVM_SET_FPU, fpu, "KVM_SET_FPU");
}

Result<kvm_lapic_state> Vcpu::lapic() const {
  return get<kvm_lapic_state>(KVM_GET_LAPIC, "KVM_GET_LAPIC");
}

Status Vcpu::set_lapic(const kvm_lapic_state& lapic) {
  return set(KVM_SET_LAPIC, lapic, "KVM_SET_LAPIC");
}

Result<kvm_mp_state> Vcpu::mp_state() const {
  return get<kvm_mp_state>(KVM_GET_MP_STATE, "KVM_GET_MP_STATE");
}

Status Vcpu::set_mp_state(const kvm_mp_state& state) {
  return set(KVM_SET_MP_STATE, state, "KVM_SET_MP_STATE");
}

Result<kvm_vcpu_events> Vcpu::events() const {
  return get<kvm_vcpu_events>(KVM_GET_VCPU_EVENTS, "KVM_GET_VCPU_EVENTS");
}

Status Vcpu::set_events(const kvm_vcpu_events& events) {
  UVMM_CHECK(flush_regs());  // writing registers drops a pending exception, so it has to come before
  return set(KVM_SET_VCPU_EVENTS, events, "KVM_SET_VCPU_EVENTS");
}

Result<kvm_xcrs> Vcpu::xcrs() const {
  return get<kvm_xcrs>(KVM_GET_XCRS, "KVM_GET_XCRS");
}

Status Vcpu::set_xcrs(const kvm_xcrs& xcrs) {
  return set(KVM_SET_XCRS, xcrs, "KVM_SET_XCRS");
}

Result<kvm_debugregs> Vcpu::debug_regs() const {
  return get<kvm_debugregs>(KVM_GET_DEBUGREGS, "KVM_GET_DEBUGREGS");
}

Status Vcpu::set_debug_regs(const kvm_debugregs& regs) {
  return set(KVM_SET_DEBUGREGS, regs, "KVM_SET_DEBUGREGS");
}

Status Vcpu::set_guest_debug(const kvm_guest_debug& debug) {
  UVMM_CHECK(flush_regs());  // a single step starts at the RIP the kernel knows at this moment
  return set(KVM_SET_GUEST_DEBUG, debug, "KVM_SET_GUEST_DEBUG");
}

Result<kvm_translation> Vcpu::translate(std::uint64_t linear) const {
  kvm_translation translation{};
  translation.linear_address = linear;
  if (call(fd_.get(), KVM_TRANSLATE, &translation) < 0) return error("KVM_TRANSLATE");
  return translation;
}

Status Vcpu::pre_fault(uvm::GpaRange range) {
  abi::PreFaultMemory request{};
  request.gpa = range.begin().value();
  request.size = range.size();
  while (request.size != 0) {
    if (call(fd_.get(), abi::kPreFaultMemory, &request) < 0 && errno != EINTR && errno != EAGAIN) {
      return error("KVM_PRE_FAULT_MEMORY");
    }
  }
  return uvm::ok();
}

void Vcpu::tell_stood_still() {
  static_cast<void>(call(fd_.get(), KVM_KVMCLOCK_CTRL, 0));
}

Status Vcpu::inject_nmi() {
  if (call(fd_.get(), KVM_NMI, 0) < 0) return error("KVM_NMI");
  return uvm::ok();
}

Status Vcpu::inject_interrupt(std::uint32_t vector) {
  return set(KVM_INTERRUPT, kvm_interrupt{vector}, "KVM_INTERRUPT");
}

Result<std::uint64_t> Vcpu::tsc_khz() const {
  const int khz = call(fd_.get(), KVM_GET_TSC_KHZ, 0);
  if (khz < 0) return error("KVM_GET_TSC_KHZ");
  return static_cast<std::uint64_t>(khz);
}

}  // namespace vmm::kvm
