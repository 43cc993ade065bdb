// What every text of a configuration has to be.
#pragma once

#include <cstddef>
#include <string_view>

#include "uvm/base/error.h"

namespace vmm::config {

/// A text that ends in a file name, a log line or a guest's memory: no control characters, no NUL, at most
/// `limit` bytes. Invalid; the message begins with `what`.
[[nodiscard]] uvm::Status check_text(std::string_view what, std::string_view text, std::size_t limit);

}  // namespace vmm::config
