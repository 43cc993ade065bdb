// The program's own words on stdout and stderr; a guest's console and the log have their own ways out.
#pragma once

#include <string_view>

#include "uvm/base/error.h"
#include "vmm/machine/config.h"

namespace vmm::cli {

/// Opens /dev/null for whichever of the descriptors 0–2 is closed, so that no file opened later becomes one
/// and has messages written into it. To be called first.
void ensure_standard_descriptors();

/// "uvmm: error: text" and a newline on stderr: one line whatever `text` holds. Never throws.
void print_error(std::string_view text) noexcept;
/// "uvmm: text", the same way.
void print_notice(std::string_view text) noexcept;

/// All of `text` to stdout. Internal, with one line on stderr, when it can't be written; a reader that has
/// gone away is Ok.
[[nodiscard]] ExitStatus print(std::string_view text);

}  // namespace vmm::cli
