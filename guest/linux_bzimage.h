// Linux bzImage: real-mode setup code (skipped), a setup header at 0x1f1, and the protected-mode code, which
// is a decompressor with its payload. We enter it where a 64-bit boot loader does
// (Documentation/x86/boot.rst):
//
//   load address L   pref_address when that is free RAM, else (relocatable kernels) the next aligned place
//   entry            L + 0x200 in 64-bit mode, RSI = boot_params; or L in 32-bit mode, ESI = boot_params, for
//                    kernels without XLF_KERNEL_64
//   window           [L, L + init_size): the decompressor works in it, nothing else may live there
//
// One deviation: relocatable 64-bit code that begins on a page of the file is put at 1 MiB, below the window,
// and entered there. It then is only read, so it stays mapped from the file and shared between guests.
#pragma once

#include <cstddef>
#include <span>

#include "guest/load_plan.h"

namespace guest {

/// 0xaa55 at 0x1fe and "HdrS" at 0x202.
[[nodiscard]] bool is_bzimage(std::span<const std::byte> kernel);

/// Errors name the header's field. Refused: protocol below 2.06, zImage (not loaded high), a file shorter
/// than its syssize, init_size that no RAM below 4 GiB holds.
[[nodiscard]] uvm::Result<LoadPlan> plan_bzimage(const BootRequest& request);

}  // namespace guest
