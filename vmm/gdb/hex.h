// The digits of the remote protocol: numbers and bytes in hexadecimal, and binary data with escapes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vmm::gdb {

/// Lower case, no prefix, no leading zeros: "0", "1f".
[[nodiscard]] std::string hex_number(std::uint64_t value);
void append_hex(std::string& out, std::span<const std::byte> bytes);
[[nodiscard]] std::string hex_text(std::string_view text);
/// Two digits a byte; nothing for an odd number of digits or any other character.
[[nodiscard]] std::optional<std::vector<std::byte>> bytes_of_hex(std::string_view digits);
/// As bytes_of_hex, into `out`, which must be exactly as long; false otherwise.
[[nodiscard]] bool decode_hex(std::string_view digits, std::span<std::byte> out);
/// The value of one digit, or -1.
[[nodiscard]] int hex_digit(char digit);

/// Appends as many of `bytes` as fit into `limit` more characters, `#`, `$`, `}` and `*` escaped; says how
/// many bytes went in.
std::size_t append_escaped(std::string& out, std::span<const std::byte> bytes, std::size_t limit);

[[nodiscard]] inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// Takes a packet's arguments apart from the left. Nothing it is given can make it fail other than by
/// returning nothing.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  /// One or more digits, at most 64 bits; nothing when there is none or it is larger.
  [[nodiscard]] std::optional<std::uint64_t> number();
  /// Takes `expected` if it comes next.
  [[nodiscard]] bool take(char expected);
  [[nodiscard]] bool take(std::string_view expected);
  /// Everything up to `end` (which is taken too) or to the end.
  [[nodiscard]] std::string_view until(char end);
  [[nodiscard]] std::string_view rest() const { return text_; }
  [[nodiscard]] bool at_end() const { return text_.empty(); }

 private:
  std::string_view text_;
};

}  // namespace vmm::gdb
