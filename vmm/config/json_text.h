// From the bytes of a configuration file to a JSON tree, with everything refused that a lenient parser lets
// through: duplicate keys (the last would win silently), nesting without end, bytes that aren't UTF-8.
//
// `//` and `/* */` comments are taken, so that a configuration can explain itself; trailing commas are not.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstddef>
#include <string_view>

#include "uvm/base/error.h"

namespace vmm::config {

inline constexpr std::size_t kMaxConfigText = std::size_t{1} << 20;  // bytes
inline constexpr std::size_t kMaxJsonDepth = 16;                     // arrays and objects inside each other

/// Parses the whole of `text`. Kind Invalid; the message says "line L, column C", both counted from 1,
/// columns in bytes. Never throws but std::bad_alloc.
[[nodiscard]] uvm::Result<boost::json::value> parse_json(std::string_view text);

}  // namespace vmm::config
