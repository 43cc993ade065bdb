// Appends little-endian values to a growing run of bytes: how every generated table is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace guest {

class ByteWriter {
 public:
  template <class T>
  ByteWriter& put(T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    const std::size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
    return *this;
  }
  ByteWriter& u8(std::uint64_t value) { return put(static_cast<std::uint8_t>(value)); }
  ByteWriter& u16(std::uint64_t value) { return put(static_cast<std::uint16_t>(value)); }
  ByteWriter& u32(std::uint64_t value) { return put(static_cast<std::uint32_t>(value)); }
  ByteWriter& u64(std::uint64_t value) { return put(value); }
  /// The characters alone, no terminator.
  ByteWriter& text(std::string_view text) {
    return append(std::as_bytes(std::span(text.data(), text.size())));
  }
  ByteWriter& append(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  ByteWriter& zeros(std::size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  /// Overwrites what is already there; `at + sizeof(T)` is within size().
  template <class T>
  ByteWriter& patch(std::size_t at, T value) {
    std::memcpy(std::span(bytes_).subspan(at, sizeof(T)).data(), &value, sizeof(T));
    return *this;
  }

  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] std::span<const std::byte> view() const { return bytes_; }
  [[nodiscard]] std::vector<std::byte> take() { return std::exchange(bytes_, {}); }

 private:
  std::vector<std::byte> bytes_;
};

/// The object representation of a plain struct.
template <class T>
[[nodiscard]] std::vector<std::byte> to_bytes(const T& value) {
  return ByteWriter().put(value).take();
}

}  // namespace guest
