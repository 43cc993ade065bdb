// A virtual machine without memory, devices and guest: what can be made before anybody knows whose it will
// be.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/kvm/system.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/kvm/vm.h"
#include "vmm/machine/config.h"
#include "vmm/machine/interrupts.h"

namespace vmm {

/// Creating a VM, its interrupt controllers and its vCPUs takes KVM longer than all that comes after for a
/// copy of a running machine, so a copy that is to begin at once finds them made (`uvmm fork --ready`). Each
/// step is done once, whoever asks again. Thread: one at a time; the vCPUs may run on any.
class MachineShell {
 public:
  /// What the host can do; creates nothing. Errors: those of kvm::System.
  [[nodiscard]] static uvm::Result<std::unique_ptr<MachineShell>> open();
  /// All of it, for a machine of that shape. Errors: besides, the kernel's.
  [[nodiscard]] static uvm::Result<std::unique_ptr<MachineShell>> prepare(IrqChip wanted,
                                                                          std::uint32_t vcpus);
  MachineShell(const MachineShell&) = delete;
  MachineShell& operator=(const MachineShell&) = delete;

  /// Whether it can still become a machine of that shape.
  [[nodiscard]] bool fits(IrqChip wanted, std::uint32_t vcpus) const;
  [[nodiscard]] uvm::Status create_vm();
  /// Interrupt controllers and vCPUs. After create_vm(), and cheaper after the first memory slot (kvm::Vm).
  [[nodiscard]] uvm::Status create_vcpus(IrqChip wanted, std::uint32_t vcpus);

  [[nodiscard]] kvm::System& system() { return system_; }
  [[nodiscard]] const std::vector<kvm_cpuid_entry2>& supported_cpuid() const { return supported_; }
  /// What Auto comes to here; other kinds are themselves.
  [[nodiscard]] IrqChip chosen(IrqChip wanted) const;
  /// After create_vm(); it outlives what the two below give away.
  [[nodiscard]] kvm::Vm& vm() { return *vm_; }
  [[nodiscard]] std::unique_ptr<Interrupts> take_interrupts() { return std::move(interrupts_); }
  [[nodiscard]] std::vector<std::unique_ptr<kvm::Vcpu>> take_vcpus() { return std::move(vcpus_); }

 private:
  MachineShell(kvm::System system, std::vector<kvm_cpuid_entry2> supported)
      : system_(std::move(system)), supported_(std::move(supported)) {}

  kvm::System system_;
  const std::vector<kvm_cpuid_entry2> supported_;
  std::optional<kvm::Vm> vm_;
  std::unique_ptr<Interrupts> interrupts_;
  std::vector<std::unique_ptr<kvm::Vcpu>> vcpus_;
};

}  // namespace vmm
