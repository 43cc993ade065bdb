// Completion scripts for shells.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "uvm/base/error.h"
#include "vmm/cli/command_words.h"

namespace vmm::cli {

/// For bash, zsh or fish, which reads it from a file. Errors: Invalid (another shell).
[[nodiscard]] uvm::Result<std::string> completion_script(std::string_view shell,
                                                         std::span<const VerbWords> verbs);

}  // namespace vmm::cli
