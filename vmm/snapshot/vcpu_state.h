// Everything of one virtual processor that KVM keeps.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/devices/state.h"
#include "vmm/kvm/vcpu.h"

namespace vmm::snapshot {

/// The kernel's own structures, whose layout it never changes; each is stored with its size.
class VcpuState final : public devices::Stateful {
 public:
  /// Of `candidates` (kvm::System::msr_indices()) those this KVM reads out. One system call each: ask once.
  [[nodiscard]] static std::vector<std::uint32_t> readable_msrs(const kvm::Vcpu& vcpu,
                                                                std::span<const std::uint32_t> candidates);

  /// The vCPU is parked, with no access half done. Errors: the kernel's, naming vCPU and call.
  [[nodiscard]] static uvm::Result<VcpuState> take(kvm::Vcpu& vcpu, std::span<const std::uint32_t> msrs);
  /// Into a vCPU that is parked or has not run yet; where it has no CPUID yet, that too. Errors: as take();
  /// Unsupported (this KVM does not take an MSR or the XSAVE area). Half of it may be done then.
  [[nodiscard]] uvm::Status give(kvm::Vcpu& vcpu) const;

  /// The time-stamp counter, in its own ticks.
  void advance_tsc(std::uint64_t ticks);

  [[nodiscard]] const kvm_regs& regs() const { return regs_; }
  [[nodiscard]] const std::vector<kvm_cpuid_entry2>& cpuid() const { return cpuid_; }

  [[nodiscard]] std::string_view state_name() const override { return "vcpu"; }
  void state(devices::StateFields& fields) override;

 private:
  [[nodiscard]] uvm::Status give_msrs(kvm::Vcpu& vcpu) const;

  std::vector<kvm_cpuid_entry2> cpuid_;
  kvm_mp_state mp_state_{};
  kvm_regs regs_{};
  kvm_sregs sregs_{};
  kvm::XsaveArea xsave_;
  kvm_xcrs xcrs_{};
  kvm_debugregs debug_regs_{};
  kvm_lapic_state lapic_{};
  std::vector<kvm_msr_entry> msrs_;  // in the order they are written
  kvm_vcpu_events events_{};
};

}  // namespace vmm::snapshot
