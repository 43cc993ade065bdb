// The prose of `--help`: what CLI11 can't make from the table of options.
#pragma once

#include <string>

namespace vmm::cli {

/// "uvmm 0.1.0 (commit 0123456789ab)" and a newline.
[[nodiscard]] std::string version_text();
/// Usage, verbs and where to find more: in front of everything.
[[nodiscard]] std::string overview_text();
/// The console's keys, examples, signals and exit statuses: behind everything.
[[nodiscard]] std::string closing_text();

}  // namespace vmm::cli
