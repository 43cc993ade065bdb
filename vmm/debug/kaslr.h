// Where a running Linux kernel lies, without its symbols.
#pragma once

#include <cstdint>
#include <optional>

#include "vmm/debug/inferior.h"

namespace vmm::debug {

/// The runtime address of `_text`: MSR_LSTAR points into the kernel's text, and Linux unmaps what lies in
/// front of `_text` in the 2 MiB steps it aligns the kernel to (cleanup_highmap() in arch/x86/mm/init_64.c).
/// Nothing before the kernel has set its system call entry, which is after it has relocated itself, and for
/// other kernels.
[[nodiscard]] std::optional<std::uint64_t> linux_text(Inferior& inferior);

}  // namespace vmm::debug
