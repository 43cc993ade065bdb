#include "vmm/machine/platform.h"

namespace vmm {

Platform::Platform(const Parts& parts)
    : has_pic_(parts.interrupts.kind() == IrqChip::Full),
      serial_(parts.interrupts.line(layout::kSerialIrq), parts.console),
      rtc_(clock_, parts.memory),
      i8042_(parts.power),
      acpi_pm_(parts.interrupts.line(layout::kSciIrq), clock_, parts.power),
      generation_id_(parts.interrupts.line(layout::kGenerationIdPin)),
      reset_control_(parts.power),
      debug_exit_(parts.power),
      pci_(&reset_control_),
      virtio_transport_(parts.virtio),
      port_a_(parts.power) {}

uvm::Status Platform::connect(Bus& bus) {
  using devices::I8042;
  UVMM_CHECK(bus.add(BusSpace::Io, "serial", layout::kSerialPort, devices::Serial::kPorts, serial_));
  UVMM_CHECK(bus.add(BusSpace::Io, "rtc", layout::kCmosPort, devices::Rtc::kPorts, rtc_));
  UVMM_CHECK(bus.add(BusSpace::Io, "i8042 data", 0x60, 1, i8042_, I8042::kDataOffset));
  UVMM_CHECK(bus.add(BusSpace::Io, "i8042 command", 0x64, 1, i8042_, I8042::kCommandOffset));
  UVMM_CHECK(bus.add(BusSpace::Io, "acpi pm", layout::kPmBase, devices::AcpiPm::kPorts, acpi_pm_));
  UVMM_CHECK(
      bus.add(BusSpace::Io, "debug exit", layout::kDebugExitPort, devices::DebugExit::kPorts, debug_exit_));
  UVMM_CHECK(bus.add(BusSpace::Io, "pci", 0xcf8, devices::PciHost::kPorts, pci_.ports()));
  UVMM_CHECK(bus.add(BusSpace::Mmio, "pci ecam", layout::kEcam.value(), layout::kEcamBytes, pci_.ecam()));
  UVMM_CHECK(bus.add(BusSpace::Mmio, "pci window", layout::kPciWindow.value(), layout::kPciWindowBytes,
                     pci_window_));
  UVMM_CHECK(bus.add(BusSpace::Io, "pci ports", layout::kPciPorts, layout::kPciPortCount, pci_ports_));
  if (virtio_transport_ == VirtioTransport::Mmio) {
    constexpr std::uint64_t kBytes = layout::kVirtioMmioIrqs.size() * virtio::MmioTransport::kBytes;
    UVMM_CHECK(bus.add(BusSpace::Mmio, "virtio mmio", layout::kVirtioMmio.value(), kBytes, virtio_slots_));
  }
  return connect_legacy(bus);
}

uvm::Result<std::vector<devices::Stateful*>> Platform::stateful() {
  std::vector<devices::Stateful*> all{&serial_, &rtc_,    &i8042_,  &acpi_pm_, &reset_control_,
                                      &pci_,    &port_b_, &port_a_, &post_};
  UVMM_TRY(const auto functions, pci_.stateful_functions());
  all.insert(all.end(), functions.begin(), functions.end());
  for (virtio::MmioTransport* const transport : virtio_slots_.transports()) {
    if (devices::Stateful* const stateful = transport->stateful()) all.push_back(stateful);
  }
  return all;
}

/// What is absent here still has to read as absent; with the full irqchip KVM answers most of these itself.
uvm::Status Platform::connect_legacy(Bus& bus) {
  UVMM_CHECK(bus.add(BusSpace::Io, "post", 0x80, 1, post_));
  UVMM_CHECK(bus.add(BusSpace::Io, "port A", 0x92, 1, port_a_));
  if (has_pic_) return uvm::ok();
  UVMM_CHECK(bus.add(BusSpace::Io, "no pic", 0x20, 2, no_pic_));
  UVMM_CHECK(bus.add(BusSpace::Io, "no pic 2", 0xa0, 2, no_pic_));
  UVMM_CHECK(bus.add(BusSpace::Io, "no elcr", 0x4d0, 2, no_pic_));
  UVMM_CHECK(bus.add(BusSpace::Io, "no pit", 0x40, 4, no_pit_));
  return bus.add(BusSpace::Io, "port B", 0x61, 1, port_b_);
}

}  // namespace vmm
