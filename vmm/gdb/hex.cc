#include "vmm/gdb/hex.h"

#include <array>
#include <charconv>

namespace vmm::gdb {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

constexpr std::array<signed char, 256> make_values() {
  std::array<signed char, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kDigits.size(); ++i) {
    values[static_cast<unsigned char>(kDigits[i])] = static_cast<signed char>(i);
    if (i >= 10) values[static_cast<unsigned char>(kDigits[i] - 'a' + 'A')] = static_cast<signed char>(i);
  }
  return values;
}
constexpr std::array<signed char, 256> kValues = make_values();

}  // namespace

int hex_digit(char digit) {
  return kValues[static_cast<unsigned char>(digit)];
}

std::string hex_number(std::uint64_t value) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
  return {digits.data(), end};
}

void append_hex(std::string& out, std::span<const std::byte> bytes) {
  const std::size_t start = out.size();
  out.resize(start + 2 * bytes.size());
  char* to = out.data() + start;
  for (const std::byte each : bytes) {
    const auto value = std::to_integer<unsigned>(each);
    *to++ = kDigits[value >> 4U];
    *to++ = kDigits[value & 0xfU];
  }
}

std::string hex_text(std::string_view text) {
  std::string out;
  append_hex(out, bytes_of(text));
  return out;
}

bool decode_hex(std::string_view digits, std::span<std::byte> out) {
  if (digits.size() != 2 * out.size()) return false;
  int bad = 0;  // negative once any digit was
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = hex_digit(digits[2 * i]);
    const int low = hex_digit(digits[2 * i + 1]);
    bad |= high | low;
    out[i] = static_cast<std::byte>(static_cast<unsigned>(high) << 4U | static_cast<unsigned>(low));
  }
  return bad >= 0;
}

std::optional<std::vector<std::byte>> bytes_of_hex(std::string_view digits) {
  std::vector<std::byte> out(digits.size() / 2);
  if (!decode_hex(digits, out)) return std::nullopt;
  return out;
}

std::size_t append_escaped(std::string& out, std::span<const std::byte> bytes, std::size_t limit) {
  const std::size_t most = out.size() + limit;
  std::size_t taken = 0;
  for (const std::byte each : bytes) {
    const char c = static_cast<char>(each);
    const bool special = c == '#' || c == '$' || c == '}' || c == '*';
    if (out.size() + (special ? 2 : 1) > most) break;
    if (special) out += '}';
    out += static_cast<char>(special ? c ^ 0x20 : c);
    ++taken;
  }
  return taken;
}

std::optional<std::uint64_t> Scanner::number() {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value, 16);
  if (error != std::errc() || end == text_.data()) return std::nullopt;
  text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
  return value;
}

bool Scanner::take(char expected) {
  if (text_.empty() || text_.front() != expected) return false;
  text_.remove_prefix(1);
  return true;
}

bool Scanner::take(std::string_view expected) {
  if (!text_.starts_with(expected)) return false;
  text_.remove_prefix(expected.size());
  return true;
}

std::string_view Scanner::until(char end) {
  const std::size_t at = text_.find(end);
  const std::string_view found = text_.substr(0, at);
  text_.remove_prefix(at == std::string_view::npos ? text_.size() : at + 1);
  return found;
}

}  // namespace vmm::gdb
