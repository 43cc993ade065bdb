// What all ACPI tables share: the 36-byte header, its checksum, and register addresses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace guest::acpi {

inline constexpr std::size_t kHeaderBytes = 36;

/// The byte that makes the sum of `bytes` and itself 0 modulo 256.
[[nodiscard]] std::uint8_t checksum(std::span<const std::byte> bytes);

/// Header (ACPI 6.3, 5.2.6) and `body`, length and checksum filled in. `signature` has four characters.
[[nodiscard]] std::vector<std::byte> make_table(std::string_view signature, std::uint8_t revision,
                                                std::span<const std::byte> body);

/// Generic address structure (5.2.3.2). A zero one means "no such register".
struct [[gnu::packed]] GenericAddress {
  std::uint8_t space_id;
  std::uint8_t bit_width;
  std::uint8_t bit_offset;
  std::uint8_t access_size;  // 1: byte, 2: word, 3: dword
  std::uint64_t address;

  [[nodiscard]] static GenericAddress io(std::uint16_t port, std::uint8_t bytes);
};
static_assert(sizeof(GenericAddress) == 12);

}  // namespace guest::acpi
