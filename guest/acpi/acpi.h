// The ACPI tables of a machine: RSDP, XSDT, FADT, FACS, MADT, MCFG and a DSDT in AML.
//
// The machine is described by AcpiConfig alone; no number of the machine's layout is written down here. Fixed
// hardware is used (power button, PM timer, SLP_TYP), not the hardware-reduced model, so that a poweroff
// needs no interpreter run. The one event that fixed hardware does not know, a new VMGenID, comes by a
// generic event device: an interrupt of its own, where a GPE block would be registers and a shared SCI. Left
// out on purpose: SMM (SMI_CMD is 0: the machine is in ACPI mode from the start), HPET, a PIT override unless
// asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "guest/load_plan.h"
#include "uvm/base/error.h"
#include "uvm/base/range.h"

namespace guest::acpi {

enum class Polarity { ActiveHigh, ActiveLow };
enum class Trigger { Edge, Level };
/// Whether an 8259 pair exists beside the IOAPIC (PCAT_COMPAT of the MADT).
enum class LegacyPic { Absent, Present };
/// ResetOnly: no keyboard is attached. The tables then deny the controller (its reset command works all the
/// same), because a driver that believed in it would spend its time on probes.
enum class KeyboardController { ResetOnly, Present };

/// How ISA interrupt `source` arrives at the IOAPIC, where that differs from "same number, edge, high".
struct InterruptOverride {
  std::uint8_t source = 0;
  std::uint32_t gsi = 0;
  Polarity polarity = Polarity::ActiveHigh;
  Trigger trigger = Trigger::Edge;
};

/// A 16550: 8 ports from `io_base`.
struct SerialPort {
  std::uint16_t io_base = 0x3f8;
  std::uint8_t irq = 4;
};

/// Power-management block: event (4 bytes), control (2) and timer (4) registers at io_base + 0, 4 and 8.
struct PmBlock {
  std::uint16_t io_base = 0x600;
  std::uint8_t sci_irq = 9;
  std::uint8_t s5_sleep_type = 5;  // SLP_TYP that powers off
};

/// A port and the byte that resets the machine when written to it.
struct ResetRegister {
  std::uint16_t port = 0xcf9;
  std::uint8_t value = 0x06;
};

/// Where the interrupt line of a device on bus 0 ends: level, active low.
struct PciLine {
  std::uint8_t device = 0;
  std::uint8_t pin = 0;  // INTA is 0
  std::uint32_t gsi = 0;
};

struct PciHost {
  uvm::Gpa ecam_base;          // 1 MiB of ECAM a bus
  std::uint8_t last_bus = 0;   // buses 0..last_bus
  uvm::GpaRange mmio_low;      // window below 4 GiB; empty: none
  uvm::GpaRange mmio_high;     // window above 4 GiB; empty: none
  std::vector<PciLine> lines;  // at most 255; empty: devices on bus 0 have messages alone
};

/// VMGenID: a number in memory that the machine changes when it becomes a copy of another or goes back, and
/// the interrupt that says so.
struct GenerationId {
  static constexpr std::uint64_t kBytes = 16;
  std::uint32_t gsi = 16;  // edge, active high
};

struct AcpiConfig {
  std::uint32_t vcpus = 1;  // APIC ids 0 … vcpus-1
  uvm::Gpa local_apic{0xfee00000};
  uvm::Gpa io_apic{0xfec00000};
  std::uint8_t io_apic_id = 0;
  LegacyPic legacy_pic = LegacyPic::Absent;
  std::vector<InterruptOverride> overrides;  // the SCI's (level, active high) is added by itself
  PmBlock pm;
  ResetRegister reset;
  std::optional<SerialPort> serial = SerialPort{};
  KeyboardController keyboard = KeyboardController::ResetOnly;
  std::optional<std::uint8_t> rtc_irq = 8;  // nullopt: the RTC has no interrupt
  std::uint8_t rtc_century = 0x32;          // CMOS cell of the century; 0: none
  std::optional<PciHost> pci;
  std::optional<GenerationId> generation_id;
  uvm::GpaRange area;  // where the tables go; empty: low_memory's ACPI area, 0xe0000–0xfffff
};

/// The tables as plan segments, and where the RSDP is (BootRequest::acpi_rsdp; also found by a scan of
/// 0xe0000–0xfffff, as multiboot kernels do).
struct AcpiTables {
  std::vector<Segment> segments;  // named "acpi RSDP", "acpi DSDT", …
  uvm::Gpa rsdp;
  std::optional<uvm::Gpa> generation_id;  // where it is, zeros at first; with AcpiConfig::generation_id
};

/// Errors: Invalid for a vCPU count of 0, NoMemory when the tables don't fit the area.
[[nodiscard]] uvm::Result<AcpiTables> build_tables(const AcpiConfig& config);

}  // namespace guest::acpi
