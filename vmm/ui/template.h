// The page's files, as the build found them in this folder.
#pragma once

#include <string_view>

namespace vmm::ui {

[[nodiscard]] std::string_view page_html();
[[nodiscard]] std::string_view page_style();
/// All scripts, one after the other.
[[nodiscard]] std::string_view page_script();

}  // namespace vmm::ui
