#include "vmm/text.h"

#include <cstdint>
#include <utility>

namespace vmm {
namespace {

std::uint8_t byte_at(std::string_view text, std::size_t at) {
  return static_cast<std::uint8_t>(text[at]);
}

constexpr std::size_t kMaxValue = 1024;  // bytes of one field that reach a line

void append_escaped_byte(std::string& out, std::uint8_t byte) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  switch (byte) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\x";
      out += kDigits[byte >> 4U];
      out += kDigits[byte & 15U];
  }
}

bool continues(std::string_view text, std::size_t count) {
  if (text.size() <= count) return false;
  for (std::size_t i = 1; i <= count; ++i) {
    if ((byte_at(text, i) & 0xc0) != 0x80) return false;
  }
  return true;
}

/// Appends the first sequence (or bad byte) of `text`, escaped if need be; returns its bytes.
std::size_t append_next(std::string& out, std::string_view text) {
  const std::size_t length = utf8_length(text);
  if (length != 0 && !is_control(text.substr(0, length))) {
    out += text.substr(0, length);
    return length;
  }
  const std::size_t bytes = length == 0 ? 1 : length;
  for (std::size_t i = 0; i < bytes; ++i) append_escaped_byte(out, byte_at(text, i));
  return bytes;
}

}  // namespace

std::size_t utf8_length(std::string_view text) {
  if (text.empty()) return 0;
  const std::uint8_t first = byte_at(text, 0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return continues(text, 1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (!continues(text, 2)) return 0;
    const std::uint8_t second = byte_at(text, 1);
    if (first == 0xe0 && second < 0xa0) return 0;
    if (first == 0xed && second > 0x9f) return 0;
    return 3;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (!continues(text, 3)) return 0;
    const std::uint8_t second = byte_at(text, 1);
    if (first == 0xf0 && second < 0x90) return 0;
    if (first == 0xf4 && second > 0x8f) return 0;
    return 4;
  }
  return 0;
}

bool is_control(std::string_view sequence) {
  if (sequence.size() == 1) return byte_at(sequence, 0) < 0x20 || byte_at(sequence, 0) == 0x7f;
  if (sequence.size() == 2) return byte_at(sequence, 0) == 0xc2 && byte_at(sequence, 1) < 0xa0;
  return sequence == "\xe2\x80\xa8" || sequence == "\xe2\x80\xa9";
}

std::string one_line(std::string_view text) {
  std::string out;
  while (!text.empty()) text.remove_prefix(append_next(out, text));
  return out;
}

uvm::Error not_possible(std::string_view text, std::string way_out) {
  constexpr std::size_t kMostShown = 80;
  return {uvm::ErrorKind::Invalid, "'" + one_line(text.substr(0, kMostShown)) + "' is not possible",
          std::move(way_out)};
}

std::string field_value(std::string_view text) {
  const bool cut = text.size() > kMaxValue;
  if (cut) text = text.substr(0, kMaxValue);
  bool quoted = text.empty();
  std::string out;
  while (!text.empty()) {
    const std::size_t before = out.size();
    const char first = text.front();
    if (first == '"' || first == '\\') out += '\\';
    const std::size_t bytes = append_next(out, text);
    quoted = quoted || first == ' ' || first == '=' || out.size() - before != bytes;
    text.remove_prefix(bytes);
  }
  if (cut) out += "…";
  return quoted ? '"' + out + '"' : out;
}

}  // namespace vmm
