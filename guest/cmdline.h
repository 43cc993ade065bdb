// The kernel command line as bytes in guest memory.
#pragma once

#include <cstdint>
#include <string_view>

#include "guest/load_plan.h"

namespace guest {

/// What a 64-bit x86 Linux takes (COMMAND_LINE_SIZE 2048, with the NUL), for kernels whose file doesn't say.
inline constexpr std::uint64_t kLinuxCommandLineLimit = 2047;

/// Appends the segment "command line" (text and NUL) at low_memory::kCommandLine. `limit` counts the text
/// without NUL. Errors: longer than `limit` or than the space in low memory; a NUL inside, which would cut
/// the rest off unseen.
[[nodiscard]] uvm::Status add_cmdline(LoadPlan& plan, std::string_view text, std::uint64_t limit);

}  // namespace guest
