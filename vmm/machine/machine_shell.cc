#include "vmm/machine/machine_shell.h"

#include <utility>

#include "ept/host/tmpfs.h"

namespace vmm {

uvm::Result<std::unique_ptr<MachineShell>> MachineShell::open() {
  UVMM_TRY(auto system, kvm::System::open());
  UVMM_TRY(auto supported, system.supported_cpuid());
  return std::unique_ptr<MachineShell>(new MachineShell(std::move(system), std::move(supported)));
}

uvm::Result<std::unique_ptr<MachineShell>> MachineShell::prepare(IrqChip wanted, std::uint32_t vcpus) {
  UVMM_TRY(auto shell, open());
  UVMM_CHECK(shell->create_vm());
  UVMM_CHECK(shell->create_vcpus(wanted, vcpus));
  // Whoever copies the machine wants it; here it is in nobody's way, and without it things go on all the
  // same.
  (void)ept::host::huge_files_root();
  return shell;
}

IrqChip MachineShell::chosen(IrqChip wanted) const {
  if (wanted != IrqChip::Auto) return wanted;
  return system_.check_extension(KVM_CAP_SPLIT_IRQCHIP) > 0 ? IrqChip::Split : IrqChip::Full;
}

bool MachineShell::fits(IrqChip wanted, std::uint32_t vcpus) const {
  return interrupts_ == nullptr || (interrupts_->kind() == chosen(wanted) && vcpus_.size() == vcpus);
}

uvm::Status MachineShell::create_vm() {
  if (vm_) return uvm::ok();
  UVMM_TRY(auto vm, kvm::Vm::create(system_));
  vm_.emplace(std::move(vm));
  return uvm::ok();
}

uvm::Status MachineShell::create_vcpus(IrqChip wanted, std::uint32_t vcpus) {
  if (interrupts_ != nullptr) return uvm::ok();
  UVMM_TRY(interrupts_, Interrupts::create(*vm_, chosen(wanted)));
  for (std::uint32_t id = 0; id < vcpus; ++id) {
    UVMM_TRY(auto vcpu, vm_->create_vcpu(id));
    vcpus_.push_back(std::move(vcpu));
  }
  return uvm::ok();
}

}  // namespace vmm
