// What every text of a configuration has to be.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "uvm/base/error.h"

namespace vmm::config {

/// What is wrong with a configuration, and the way out.
[[nodiscard]] inline uvm::Error invalid(std::string what, std::string way_out = {}) {
  return {uvm::ErrorKind::Invalid, std::move(what), std::move(way_out)};
}

/// A text that ends in a file name, a log line or a guest's memory: no control characters, no NUL, at most
/// `limit` bytes. Invalid; the message begins with `what`.
[[nodiscard]] uvm::Status check_text(std::string_view what, std::string_view text, std::size_t limit);

}  // namespace vmm::config
