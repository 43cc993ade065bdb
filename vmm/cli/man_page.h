// The manual page, uvmm(1).
#pragma once

#include <span>
#include <string>

#include "vmm/cli/command_words.h"

namespace vmm::cli {

/// In man(7)'s language. `closing` is what stands below the options of run: examples, exit statuses.
[[nodiscard]] std::string man_page(std::span<const VerbWords> verbs, const std::string& closing);

}  // namespace vmm::cli
