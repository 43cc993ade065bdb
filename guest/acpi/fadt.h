// FADT and FACS (ACPI 6.3, 5.2.9 and 5.2.10): fixed hardware and what of a PC is there.
#pragma once

#include <cstddef>
#include <vector>

#include "guest/acpi/acpi.h"

namespace guest::acpi {

/// `facs` and `dsdt` lie below 4 GiB.
[[nodiscard]] std::vector<std::byte> make_fadt(const AcpiConfig& config, uvm::Gpa facs, uvm::Gpa dsdt);

/// The FACS has no header and no checksum; it wants 64-byte alignment. Ours is empty: no wake vector is used,
/// but an operating system on non-reduced hardware looks for its global lock there.
[[nodiscard]] std::vector<std::byte> make_facs();

}  // namespace guest::acpi
