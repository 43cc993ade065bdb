// What every page in a swap file must look like when it comes back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace vmm {

/// Remembers 32 bits of XXH3 of each slot's page, seeded with the slot, so that a page from the wrong place
/// is as wrong as a damaged one. 4 bytes a slot, from the first to the last that was ever used. About 0.2
/// microseconds a page. Not thread-safe.
class PageSums {
 public:
  using Sum = std::uint32_t;
  [[nodiscard]] static Sum of(std::uint64_t slot, std::span<const std::byte> page);

  void set(std::uint64_t slot, Sum sum);
  /// Of a slot that was set.
  [[nodiscard]] Sum at(std::uint64_t slot) const { return sums_[slot]; }
  [[nodiscard]] std::uint64_t bytes() const { return sums_.capacity() * sizeof(Sum); }

 private:
  std::vector<Sum> sums_;
};

}  // namespace vmm
