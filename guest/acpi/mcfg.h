// MCFG (PCI Firmware Specification 3.2, 4.1.2): where ECAM is. Linux believes it only if the range is
// reserved as well, which the memory map and the DSDT's motherboard device both do.
#pragma once

#include <cstddef>
#include <vector>

#include "guest/acpi/acpi.h"

namespace guest::acpi {

[[nodiscard]] std::vector<std::byte> make_mcfg(const PciHost& host);

}  // namespace guest::acpi
