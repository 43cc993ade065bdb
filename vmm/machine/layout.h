// Every guest-physical address and port of the machine, in one place.
//
//   0            ┬ RAM (640K-1M: holes for the VGA and ROM areas a PC has; RAM underneath, ACPI tables in it)
//   ramLowEnd    ┴ at most kMmioHole
//   kMmioHole    ┬ 3 GiB: PCI MMIO window
//   kEcam        │ 256 MiB of ECAM, bus 0 used
//   kVirtioMmio  │ virtio devices without PCI
//   kIoApic …    │ I/O APIC, local APICs, KVM's scratch pages
//   4 GiB        ┴ RAM goes on
//   above RAM      images that are memory the guest can only read (virtio/pmem/pmem.h), from 4 GiB on
#pragma once

#include <array>
#include <cstdint>

#include "uvm/base/units.h"

namespace vmm::layout {

inline constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

inline constexpr uvm::Gpa kMmioHole{3 * kGiB};
inline constexpr uvm::Gpa kMmioHoleEnd{4 * kGiB};
inline constexpr uvm::Gpa kPciWindow{0xc000'0000};
inline constexpr std::uint64_t kPciWindowBytes = 0x2000'0000;
inline constexpr uvm::Gpa kEcam{0xe000'0000};
inline constexpr std::uint64_t kEcamBytes = 0x1000'0000;
// Registers of virtio devices without PCI, a page and an interrupt each: those of a PC that no device here
// has.
inline constexpr uvm::Gpa kVirtioMmio{0xfeb0'0000};
inline constexpr std::array<std::uint8_t, 5> kVirtioMmioIrqs{10, 11, 14, 15, 3};
inline constexpr uvm::Gpa kIoApic{0xfec0'0000};
inline constexpr std::uint64_t kIoApicBytes = 0x1000;
inline constexpr uvm::Gpa kLocalApic{0xfee0'0000};

inline constexpr std::uint16_t kSerialPort = 0x3f8;
inline constexpr std::uint8_t kSerialIrq = 4;
inline constexpr std::uint16_t kCmosPort = 0x70;
inline constexpr std::uint8_t kRtcIrq = 8;
inline constexpr std::uint16_t kPmBase = 0x600;
inline constexpr std::uint8_t kSciIrq = 9;
inline constexpr std::uint8_t kGenerationIdPin = 16;  // the first that no ISA device can have
/// Pins for the interrupt lines of PCI devices, and which of them a device's pin (INTA is 0) is.
inline constexpr std::uint8_t kPciPins = 17;
inline constexpr std::uint8_t kPciPinCount = 7;
[[nodiscard]] constexpr std::uint8_t pci_pin(std::uint8_t device, std::uint8_t pin) {
  return static_cast<std::uint8_t>(kPciPins + (device + pin) % kPciPinCount);
}
inline constexpr std::uint16_t kPciPorts = 0xc000;  // where BARs of ports are
inline constexpr std::uint64_t kPciPortCount = 0x4000;
inline constexpr std::uint16_t kResetPort = 0xcf9;
inline constexpr std::uint16_t kDebugExitPort = 0xf4;
inline constexpr std::uint8_t kIoApicPins = 24;

}  // namespace vmm::layout
