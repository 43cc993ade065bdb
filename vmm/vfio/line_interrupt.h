// The interrupt line of a passed-through function (INTx; PCI 3.0, 6.2.4).
//
// A line stays up until its device has been served, and who serves it is a driver in the guest. So the kernel
// masks the line when it writes the event, and waits to be told that it may come again. That is when the
// guest's local APIC ends the interrupt: then the line of the guest goes down and the device's is unmasked.
// If the device still wants something, the event comes again at once.
//
// The way goes through our threads, once for the event and once for the end, which is what a line costs.
#pragma once

#include <cstdint>

#include "uvm/base/error.h"
#include "vmm/devices/interfaces.h"
#include "vmm/kvm/fd.h"
#include "vmm/vfio/device.h"

namespace vmm::vfio {

/// Thread: one at a time, but for event(); a function guards it with its lock.
class LineInterrupt {
 public:
  /// Whether the device has one.
  [[nodiscard]] static uvm::Result<bool> exists(const Device& device);
  /// Not connected. `line` outlives this. Errors: System (no descriptor is left).
  [[nodiscard]] static uvm::Result<LineInterrupt> create(devices::IrqLine& line);

  /// Readable when the device has raised the line; then rose() is due.
  [[nodiscard]] const Fd& event() const { return event_; }
  /// Errors: as Device::connect_irqs(); EBUSY is a line that the device shares with others on the host and
  /// cannot be silent on.
  [[nodiscard]] uvm::Status connect(Device& device);
  /// The guest's line is down when it returns.
  void disconnect(Device& device);

  /// The event is taken and, when connected, the guest's line is up.
  void rose();
  /// The guest has ended the interrupt. Harmless when the line is down.
  [[nodiscard]] uvm::Status ended(Device& device);

 private:
  LineInterrupt(devices::IrqLine& line, Fd event) : line_(&line), event_(std::move(event)) {}

  devices::IrqLine* line_;
  Fd event_;
  bool is_connected_ = false;
  bool is_up_ = false;
};

}  // namespace vmm::vfio
