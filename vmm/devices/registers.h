// Little-endian register contents as the bus carries them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace vmm::devices {

/// The first eight bytes at most, zero-extended.
[[nodiscard]] inline std::uint64_t load_le(std::span<const std::byte> data) {
  std::uint64_t value = 0;
  for (std::size_t i = std::min<std::size_t>(data.size(), 8); i-- > 0;) {
    value = value << 8 | std::to_integer<std::uint64_t>(data[i]);
  }
  return value;
}

/// As many low bytes of `value` as `data` holds; bytes past the eighth become zero.
inline void store_le(std::span<std::byte> data, std::uint64_t value) {
  for (std::byte& byte : data) {
    byte = static_cast<std::byte>(value);
    value >>= 8;
  }
}

/// The bytes of a block of registers from `offset` on, whatever that is; zeros behind its end.
inline void read_block(std::span<const std::byte> block, std::uint64_t offset, std::span<std::byte> data) {
  const auto there = block.subspan(std::min<std::uint64_t>(offset, block.size()));
  const std::size_t count = std::min(there.size(), data.size());
  std::ranges::copy(there.first(count), data.begin());
  std::ranges::fill(data.subspan(count), std::byte{0});
}

/// What nobody drives.
inline void fill_ones(std::span<std::byte> data) {
  std::ranges::fill(data, std::byte{0xff});
}

}  // namespace vmm::devices
