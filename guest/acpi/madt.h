// MADT (ACPI 6.3, 5.2.12): which processors and interrupt controllers there are.
#pragma once

#include <cstddef>
#include <vector>

#include "guest/acpi/acpi.h"

namespace guest::acpi {

/// APIC ids from this one on don't fit a local APIC entry and take the x2APIC form.
inline constexpr std::uint32_t kFirstX2Apic = 255;

/// One enabled processor per vCPU (uid = APIC id), the IOAPIC at GSI 0, the overrides with the SCI's first,
/// NMI on LINT1 of all.
[[nodiscard]] std::vector<std::byte> make_madt(const AcpiConfig& config);

}  // namespace guest::acpi
