// What each of several guests costs in host memory, when they share a part of it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "vmm/machine/resident_pages.h"

namespace vmm {

/// Bytes, as the kernel's smaps has them for processes (USS, PSS), but counted among guests: who else maps a
/// page (a device process, the view of a checkpoint) is no guest.
struct MemoryShare {
  std::uint64_t unique = 0;        // in no other guest: what its end gives back
  std::uint64_t shared = 0;        // in others, too
  std::uint64_t proportional = 0;  // unique, and of each shared page its part

  friend bool operator==(const MemoryShare&, const MemoryShare&) = default;
};

/// In the order of `guests`.
[[nodiscard]] std::vector<MemoryShare> shares_of(std::span<const ResidentPages> guests);

}  // namespace vmm
