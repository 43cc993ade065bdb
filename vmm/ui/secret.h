// Words that nobody can guess.
#pragma once

#include <string>

#include "uvm/base/error.h"

namespace vmm::ui {

/// 32 hexadecimal digits. Errors: System (no random numbers).
[[nodiscard]] uvm::Result<std::string> make_secret();

}  // namespace vmm::ui
