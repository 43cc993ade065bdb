// Flat images: raw bytes, no header, so nothing is recognised and everything is by agreement.
//
// Real mode: loaded at 0x7c00 unless told otherwise, CS:IP at its first byte (0:7c00 like a boot sector;
// above 64 KiB segment:0), other segments 0, stack right below the image. No firmware calls, no arguments.
//
// 64-bit: loaded at 1 MiB unless told otherwise, entered at its first byte as a C function `void (const
// boot_params*)` would be: RDI (and RSI) = Linux' boot_params with memory map, command line, initrd and ACPI,
// a 64 KiB stack, interrupts off, [0, 4 GiB) mapped one to one.
#pragma once

#include "guest/load_plan.h"

namespace guest {

inline constexpr uvm::Gpa kFlatRealLoad{0x7c00};
inline constexpr uvm::Gpa kFlatLongLoad{0x100000};

/// Errors: empty image, load address below 0x1000 or not reachable as segment:0, an image that passes
/// 0x9fc00, an initrd or command line (there is no way to hand one over).
[[nodiscard]] uvm::Result<LoadPlan> plan_flat_real(const BootRequest& request);

/// Errors: empty image, no RAM at the load address, over low memory's tables, or past 4 GiB.
[[nodiscard]] uvm::Result<LoadPlan> plan_flat_long(const BootRequest& request);

}  // namespace guest
