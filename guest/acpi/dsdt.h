// DSDT: the devices a PC's firmware would describe, in AML.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "guest/acpi/acpi.h"

namespace guest::acpi {

/// Processor objects are named C000 … CFFF.
inline constexpr std::uint32_t kMaxProcessorDevices = 0x1000;

/// \_S5, and under \_SB: COM1, RTC, motherboard resources, PCI host bridge, keyboard controller when present,
/// VMGenID at `generation_id` and the event device that tells of it, one ACPI0007 for each vCPU. The power
/// button is fixed hardware and needs no object.
[[nodiscard]] std::vector<std::byte> make_dsdt(const AcpiConfig& config,
                                               std::optional<uvm::Gpa> generation_id);

}  // namespace guest::acpi
