// What a machine's state says about the machine: what another one must be like to take it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "uvm/base/error.h"
#include "vmm/devices/state.h"
#include "vmm/machine/config.h"
#include "vmm/machine/device_list.h"

namespace vmm {

class MachineShape final : public devices::Stateful {
 public:
  MachineShape() = default;
  /// `irqchip` and `debug_exit` are what Auto came to.
  MachineShape(const MachineConfig& config, IrqChip irqchip, DebugExitStatus debug_exit);

  /// Of a state. Errors: Invalid.
  [[nodiscard]] static uvm::Result<MachineShape> read(std::span<const std::byte> state);
  /// `config` with what it must be to take the state; everything else as it is.
  [[nodiscard]] MachineConfig applied_to(MachineConfig config) const;
  /// Errors: Invalid, naming what differs. Names may.
  [[nodiscard]] uvm::Status check_fits(const MachineShape& saved) const;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::uint64_t memory() const { return memory_; }
  [[nodiscard]] std::uint32_t vcpus() const { return vcpus_; }

  [[nodiscard]] std::string_view state_name() const override { return "machine"; }
  [[nodiscard]] std::uint16_t state_version() const override { return 2; }
  void state(devices::StateFields& fields) override;

 private:
  std::string name_;
  std::uint32_t vcpus_ = 0;
  std::uint64_t memory_ = 0;  // bytes
  IrqChip irqchip_ = IrqChip::Auto;
  DebugExitStatus debug_exit_ = DebugExitStatus::Auto;
  DeviceList devices_;
};

}  // namespace vmm
