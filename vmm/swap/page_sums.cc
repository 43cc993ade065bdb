#include "vmm/swap/page_sums.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace vmm {

PageSums::Sum PageSums::of(std::uint64_t slot, std::span<const std::byte> page) {
  return static_cast<Sum>(XXH3_64bits_withSeed(page.data(), page.size(), slot));
}

void PageSums::set(std::uint64_t slot, Sum sum) {
  if (slot >= sums_.size()) sums_.resize(slot + 1);
  sums_[slot] = sum;
}

}  // namespace vmm
