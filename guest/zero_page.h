// Fills the zero page and the command line: the part that all users of Linux' boot protocol share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "guest/boot_params.h"
#include "guest/load_plan.h"

namespace guest {

/// Appends "boot_params" and "command line", and sets plan.e820; reads plan.initrd, so place that first.
/// `header` is the setup header as found in the file (at most up to 0x290) or a made-up one; loader fields in
/// it are overwritten. Errors: the command line's, and a memory map of more than 128 entries.
[[nodiscard]] uvm::Status add_zero_page(LoadPlan& plan, const BootRequest& request,
                                        std::span<const std::byte> header, std::uint64_t cmdline_limit);

/// The header for kernels that come without one (ELF, flat images): protocol 2.15, no optional feature.
[[nodiscard]] SetupHeader synthetic_header();

}  // namespace guest
