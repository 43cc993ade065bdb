// Bounds-checked reads from bytes that nobody has vouched for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include "uvm/base/error.h"

namespace guest {

/// A borrowed file image. Every offset and size may be absurd: sums that pass 2^64 count as out of bounds.
/// Integers are little-endian, as all our formats are (and this host).
class ByteView {
 public:
  explicit ByteView(std::span<const std::byte> bytes) : bytes_(bytes) {}

  [[nodiscard]] std::uint64_t size() const { return bytes_.size(); }

  [[nodiscard]] bool holds(std::uint64_t offset, std::uint64_t size) const {
    return offset <= bytes_.size() && size <= bytes_.size() - offset;
  }
  [[nodiscard]] std::optional<std::span<const std::byte>> slice(std::uint64_t offset,
                                                                std::uint64_t size) const {
    if (!holds(offset, size)) return std::nullopt;
    return bytes_.subspan(offset, size);
  }
  /// Any alignment; nullopt past the end.
  template <class T>
  [[nodiscard]] std::optional<T> read(std::uint64_t offset) const {
    static_assert(std::is_trivially_copyable_v<T>);
    if (!holds(offset, sizeof(T))) return std::nullopt;
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return value;
  }
  /// The same, with an error that names the field ("e_phoff").
  template <class T>
  [[nodiscard]] uvm::Result<T> field(std::uint64_t offset, std::string_view name) const {
    if (auto value = read<T>(offset)) return *value;
    return truncated(name, offset, sizeof(T));
  }
  /// "NAME at 0x10 (8 bytes) lies past the file's 12 bytes; the file is truncated …".
  [[nodiscard]] uvm::Error truncated(std::string_view name, std::uint64_t offset, std::uint64_t size) const;

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace guest
