// The devices every machine has, and where they sit.
#pragma once

#include <cstdint>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/devices/acpi_pm.h"
#include "vmm/devices/debug_exit.h"
#include "vmm/devices/generation_id.h"
#include "vmm/devices/i8042.h"
#include "vmm/devices/legacy_ports.h"
#include "vmm/devices/pci_host.h"
#include "vmm/devices/pci_window.h"
#include "vmm/devices/reset_control.h"
#include "vmm/devices/rtc.h"
#include "vmm/devices/serial.h"
#include "vmm/machine/bus.h"
#include "vmm/machine/config.h"
#include "vmm/machine/host_clock.h"
#include "vmm/machine/interrupts.h"
#include "vmm/machine/layout.h"
#include "vmm/virtio/mmio_slots.h"

namespace vmm {

/// Owns the devices; outlives the bus they are on.
class Platform {
 public:
  struct Parts {
    Interrupts& interrupts;
    devices::PowerSink& power;
    devices::ByteSink& console;
    devices::RtcMemory memory;
    VirtioTransport virtio = VirtioTransport::Pci;
  };
  explicit Platform(const Parts& parts);

  /// Claims every range. Errors: Invalid for an overlap, which would be a bug in layout.h.
  [[nodiscard]] uvm::Status connect(Bus& bus);

  [[nodiscard]] devices::Serial& serial() { return serial_; }
  [[nodiscard]] devices::AcpiPm& acpi_pm() { return acpi_pm_; }
  [[nodiscard]] devices::GenerationId& generation_id() { return generation_id_; }
  [[nodiscard]] devices::PciHost& pci() { return pci_; }
  [[nodiscard]] devices::PciWindow& pci_window() { return pci_window_; }
  [[nodiscard]] devices::PciWindow& pci_ports() { return pci_ports_; }
  /// On the bus only where virtio devices are to be found without PCI.
  [[nodiscard]] virtio::MmioSlots& virtio_slots() { return virtio_slots_; }
  /// What else has state, in the order it is saved and restored. Errors: Unsupported (a device that can't be
  /// taken along is named).
  [[nodiscard]] uvm::Result<std::vector<devices::Stateful*>> stateful();

 private:
  [[nodiscard]] uvm::Status connect_legacy(Bus& bus);

  const bool has_pic_;
  HostClock clock_;
  devices::Serial serial_;
  devices::Rtc rtc_;
  devices::I8042 i8042_;
  devices::AcpiPm acpi_pm_;
  devices::GenerationId generation_id_;
  devices::ResetControl reset_control_;
  devices::DebugExit debug_exit_;
  devices::PciHost pci_;
  devices::PciWindow pci_window_{layout::kPciWindow.value(), layout::kPciWindowBytes};
  devices::PciWindow pci_ports_{layout::kPciPorts, layout::kPciPortCount, devices::PciWindow::Grain::Port};
  const VirtioTransport virtio_transport_;
  virtio::MmioSlots virtio_slots_;
  devices::ConstantPorts no_pic_{0xff};
  devices::ConstantPorts no_pit_{0x00};
  devices::PortB port_b_;
  devices::PortA port_a_;
  devices::PostPort post_;
};

}  // namespace vmm
