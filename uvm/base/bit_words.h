// Bits in words of 64, one behind the other.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace uvm {

inline constexpr std::uint64_t kWordBits = 64;

/// Words for so many bits.
[[nodiscard]] constexpr std::size_t words_for(std::uint64_t bits) {
  return static_cast<std::size_t>((bits + kWordBits - 1) / kWordBits);
}

/// Calls `visit(index of a word, mask)` for the words in which the bits [first, end) are, until it answers
/// false.
template <class F>
constexpr bool each_bit_word(std::uint64_t first, std::uint64_t end, F&& visit) {
  while (first < end) {
    const std::uint64_t bit = first % kWordBits;
    const std::uint64_t here = std::min(kWordBits - bit, end - first);
    const std::uint64_t mask = (here == kWordBits ? ~std::uint64_t{0} : (std::uint64_t{1} << here) - 1)
                               << bit;
    if (!visit(static_cast<std::size_t>(first / kWordBits), mask)) return false;
    first += here;
  }
  return true;
}

/// Calls `visit(number)` for the bits that are set, ascending.
template <class F>
constexpr void each_set_bit(std::span<const std::uint64_t> words, F&& visit) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    for (std::uint64_t left = words[i]; left != 0; left &= left - 1) {
      visit(i * kWordBits + static_cast<std::uint64_t>(std::countr_zero(left)));
    }
  }
}

}  // namespace uvm
