// What each exit of a vCPU leads to: a bus access, an interrupt's end, or the end of the machine.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include "uvm/base/units.h"
#include "vmm/kvm/exit.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/machine/bus.h"
#include "vmm/machine/config.h"
#include "vmm/machine/ending.h"
#include "vmm/machine/exit_counts.h"
#include "vmm/machine/vcpu_group.h"

namespace vmm {

/// Guest RAM as an exit may need it. Some hosts report an access to RAM whose host page is not there as MMIO
/// (PVM's emulated code); such an access is completed against RAM, and is never a device's.
class RamDoor {
 public:
  virtual ~RamDoor() = default;
  /// Whether the whole access lies in RAM.
  [[nodiscard]] virtual bool holds(uvm::Gpa gpa, std::size_t bytes) const = 0;
  [[nodiscard]] virtual uvm::Status read(uvm::Gpa gpa, std::span<std::byte> data) = 0;
  [[nodiscard]] virtual uvm::Status write(uvm::Gpa gpa, std::span<const std::byte> data) = 0;
  /// After an access that found no memory: what files lost becomes events (uvm::Space::drop_lost()).
  [[nodiscard]] virtual uvm::Status drop_lost() = 0;
};

/// Thread: called by all vCPU threads at once; holds no state of its own but the parts it was given, which
/// outlive it.
class Exits : public ExitHandler {
 public:
  struct Parts {
    Bus& bus;
    RamDoor& ram;
    Ending& ending;
    std::function<void(std::uint8_t vector)> end_of_interrupt;  // split irqchip: to the I/O APIC
    std::function<bool()> power_event_pending;  // a device has ended the machine from inside a bus access
  };
  explicit Exits(Parts parts) : parts_(std::move(parts)) {}

  [[nodiscard]] Next handle(kvm::Vcpu& vcpu, kvm::Exit& exit) override;
  void failed(const kvm::Vcpu& vcpu, const uvm::Error& error) override;
  void ended() override {}
  [[nodiscard]] const ExitCounts& counts() const { return counts_; }

 private:
  Next after_access() const;
  Next port(const kvm::IoExit& io);
  Next mmio(const kvm::Vcpu& vcpu, const kvm::MmioExit& access);
  Next triple_fault(kvm::Vcpu& vcpu);
  Next internal_error(kvm::Vcpu& vcpu, const kvm::Exit& exit);
  [[nodiscard]] bool emulate_again(kvm::Vcpu& vcpu);
  Next system_event(const kvm::SystemEventExit& event);
  [[nodiscard]] std::string lost() const;
  Next memory_fault(kvm::Vcpu& vcpu, const kvm::MemoryFaultExit& fault);

  Parts parts_;
  /// Memory faults, or failures of the emulator, of each vCPU in a row; written by its own thread only.
  std::array<std::uint32_t, kMaxVcpus> faults_in_a_row_{};
  ExitCounts counts_;
};

}  // namespace vmm
