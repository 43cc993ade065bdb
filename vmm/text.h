// Foreign text on its way to a person: what keeps it from ending a line, forging another or driving a
// terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "uvm/base/error.h"

namespace vmm {

/// Bytes (1–4) of the well-formed UTF-8 sequence that `text` begins with; 0 when it begins with none
/// (truncated, overlong, a surrogate, above U+10FFFF: Unicode, table 3-7).
[[nodiscard]] std::size_t utf8_length(std::string_view text);

/// True for one well-formed sequence that is a C0 or C1 control character, DEL, or a line or paragraph
/// separator.
[[nodiscard]] bool is_control(std::string_view sequence);

/// `text` with control characters and bytes that aren't UTF-8 as \n, \r, \t or \xNN: always one printable
/// line.
[[nodiscard]] std::string one_line(std::string_view text);

/// "'TEXT' is not possible", cut after 80 bytes of it; Invalid, with the forms that are possible.
[[nodiscard]] uvm::Error not_possible(std::string_view text, std::string way_out);

/// `text` as the value of a key=value field: itself, or in double quotes and escaped where it is empty or
/// holds spaces, quotes, equal signs or what one_line() escapes; cut with … after 1024 bytes.
[[nodiscard]] std::string field_value(std::string_view text);

}  // namespace vmm
