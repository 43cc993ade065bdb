// Vm, second part: what belongs to a machine's state.
#include <string>

#include "vmm/kvm/ioctl.h"
#include "vmm/kvm/vm.h"

namespace vmm::kvm {

using uvm::Error;
using uvm::Result;
using uvm::Status;

Result<GuestClock> Vm::clock() const {
  kvm_clock_data data{};
  if (call(fd_.get(), KVM_GET_CLOCK, &data) < 0) return Error::from_errno(errno, "KVM_GET_CLOCK");
  GuestClock clock{data.clock, {}};
  if ((data.flags & KVM_CLOCK_REALTIME) != 0) clock.wall_ns = data.realtime;
  return clock;
}

Status Vm::set_clock_ns(std::uint64_t ns) {
  kvm_clock_data data{};
  data.clock = ns;
  if (call(fd_.get(), KVM_SET_CLOCK, &data) < 0) return Error::from_errno(errno, "KVM_SET_CLOCK");
  return uvm::ok();
}

Result<kvm_irqchip> Vm::irqchip(std::uint32_t chip) const {
  kvm_irqchip state{};
  state.chip_id = chip;
  if (call(fd_.get(), KVM_GET_IRQCHIP, &state) < 0) {
    return Error::from_errno(errno, "KVM_GET_IRQCHIP of chip " + std::to_string(chip));
  }
  return state;
}

Status Vm::set_irqchip(const kvm_irqchip& chip) {
  if (call(fd_.get(), KVM_SET_IRQCHIP, &chip) < 0) {
    return Error::from_errno(errno, "KVM_SET_IRQCHIP of chip " + std::to_string(chip.chip_id));
  }
  return uvm::ok();
}

Result<kvm_pit_state2> Vm::pit() const {
  kvm_pit_state2 state{};
  if (call(fd_.get(), KVM_GET_PIT2, &state) < 0) return Error::from_errno(errno, "KVM_GET_PIT2");
  return state;
}

Status Vm::set_pit(const kvm_pit_state2& pit) {
  if (call(fd_.get(), KVM_SET_PIT2, &pit) < 0) return Error::from_errno(errno, "KVM_SET_PIT2");
  return uvm::ok();
}

}  // namespace vmm::kvm
