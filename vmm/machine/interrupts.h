// The machine's interrupt controllers: local APICs in KVM, the I/O APIC here (split) or in KVM too (full).
//
// Split is the choice where the host has it: a VM with the full set takes 25 times longer to tear down, and
// every guest worth running uses the I/O APIC and the local APIC's own timer. Full brings PIC and PIT for
// guests that need them.
//
// Messages of PCI functions go to the local APICs past the I/O APIC. One that an eventfd raises needs a route
// of its own in the one table of routes that a VM has (msi_routes.h), beside those of the I/O APIC's pins.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "vmm/devices/interfaces.h"
#include "vmm/devices/ioapic.h"
#include "vmm/kvm/vm.h"
#include "vmm/machine/bus.h"
#include "vmm/machine/config.h"
#include "vmm/machine/layout.h"
#include "vmm/machine/msi_routes.h"
#include "vmm/snapshot/section_file.h"

namespace vmm {

/// Lives as long as its Vm's vCPUs. Lines and sinks are for any thread.
class Interrupts {
 public:
  /// After the first memory slot and before the first vCPU (see kvm::Vm). Auto chooses Split where KVM can.
  [[nodiscard]] static uvm::Result<std::unique_ptr<Interrupts>> create(kvm::Vm& vm, IrqChip wanted);
  virtual ~Interrupts() = default;
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  [[nodiscard]] virtual IrqChip kind() const = 0;  // Split or Full
  /// Pin 0-23 of the I/O APIC.
  [[nodiscard]] virtual devices::IrqLine& line(unsigned pin) = 0;
  /// For functions of PCI: messages sent by us, and by whoever has an eventfd.
  [[nodiscard]] virtual devices::MsiSink& messages() = 0;
  [[nodiscard]] virtual devices::MsiEvents& message_events() = 0;
  [[nodiscard]] virtual uvm::Status connect(Bus& bus) = 0;
  /// As IoApic::set_on_level_end(). Only a Split one calls back.
  virtual void set_on_level_end(std::function<void(unsigned pin)> callback) = 0;
  /// KVM_EXIT_IOAPIC_EOI.
  virtual void end_of_interrupt(std::uint8_t vector) = 0;

  /// What is not in the vCPUs' local APICs; with every vCPU stopped. Errors: the kernel's; those of
  /// snapshot::restore().
  [[nodiscard]] virtual std::string_view state_name() const = 0;
  [[nodiscard]] virtual uvm::Status save(snapshot::SectionWriter& writer) = 0;
  [[nodiscard]] virtual uvm::Status restore(const snapshot::SectionTable& table) = 0;

 protected:
  Interrupts() = default;
};

}  // namespace vmm
