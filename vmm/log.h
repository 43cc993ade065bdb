// The only door to the log: one line an event, written whole.
//
//   2026-11-26T06:30:01.123456Z warning vcpu ended vcpu=0 reason="triple fault" rip=0xfff0
//
// A line is a time (UTC), a level, a sentence that never changes for that event, and fields. What a guest, a
// client or a file controls goes into a field's value and nowhere else: values are quoted and escaped where
// they need it, so that nobody from outside can end a line, forge another or send an escape sequence to a
// terminal.
//
// Lines go to stderr or a file, each by a single write(2) without a buffer: a crash loses none. On a terminal
// they end with CR LF: it may be in raw mode, where a bare LF leaves the cursor in the middle, and where it
// isn't the CR does no harm. A log that can't be written (full disk, closed pipe, a reader that stands still)
// loses lines and never stops or ends the machine.
//
// Only vmm logs. uvm, ept and guest return errors and events.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "uvm/base/error.h"

namespace vmm::log {

/// From chatty to silent. Off is a threshold only, never the level of an event.
enum class Level : std::uint8_t { Trace, Debug, Info, Warning, Error, Critical, Off };

[[nodiscard]] std::string_view to_string(Level level);
/// "trace" … "critical", "off"; also "warn" and any mix of case, as Firecracker takes them. Nothing
/// otherwise.
[[nodiscard]] std::optional<Level> parse_level(std::string_view name);

/// A number shown as 0x….
struct Hex {
  std::uint64_t value;
};
[[nodiscard]] constexpr Hex hex(std::uint64_t value) {
  return {value};
}

/// key=value. Borrows both texts: make it only as an argument of event(). Costs nothing when the level is
/// off.
class Field {
 public:
  Field(std::string_view key, std::string_view value) : key_(key), text_(value), kind_(Kind::Text) {}
  Field(std::string_view key, const char* value) : Field(key, std::string_view(value)) {}
  Field(std::string_view key, const std::string& value) : Field(key, std::string_view(value)) {}
  Field(std::string_view key, bool value) : key_(key), number_(value ? 1 : 0), kind_(Kind::Boolean) {}
  Field(std::string_view key, Hex value) : key_(key), number_(value.value), kind_(Kind::Hexadecimal) {}
  template <std::unsigned_integral T>
  Field(std::string_view key, T value) : key_(key), number_(value), kind_(Kind::Unsigned) {}
  template <std::signed_integral T>
  Field(std::string_view key, T value)
      : key_(key),
        number_(static_cast<std::uint64_t>(static_cast<std::int64_t>(value))),
        kind_(Kind::Signed) {}

  /// Appends " key=value", quoted and escaped.
  void append_to(std::string& line) const;

 private:
  enum class Kind : std::uint8_t { Text, Boolean, Unsigned, Signed, Hexadecimal };

  std::string_view key_;
  std::string_view text_;
  std::uint64_t number_ = 0;
  Kind kind_;
};

/// True when an event of that level would be written; to guard work that only the log needs.
[[nodiscard]] bool enabled(Level level);

/// Writes one line. Any thread, before set_up() too (then from Warning up, to stderr) and at exit. Never
/// throws.
void event(Level level, std::string_view what, std::initializer_list<Field> fields = {}) noexcept;

/// Auto: CR LF on a terminal, LF elsewhere.
enum class LineEnding : std::uint8_t { Auto, Lf, CrLf };

struct Settings {
  Level level = Level::Warning;
  std::string file;  // appended to, created with mode 0640; empty: stderr
  LineEnding line_ending = LineEnding::Auto;
};

/// Replaces where and from which level on events are written. Fails when the file can't be opened; then
/// nothing has changed. Any thread.
[[nodiscard]] uvm::Status set_up(const Settings& settings);

}  // namespace vmm::log
