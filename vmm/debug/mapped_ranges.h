// All that page tables map, as ranges: the walk for every address at once.
#pragma once

#include <cstdint>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/debug/page_walk.h"

namespace vmm::debug {

struct MappedRange {
  std::uint64_t begin = 0;  // linear
  std::uint64_t bytes = 0;
  std::uint64_t gpa = 0;  // of the first byte
  bool user = false;
  bool writable = false;
};

/// Which neighbours are one range.
enum class Merge : std::uint8_t { SameRights, SameRightsAndNextFrame };

/// Neighbours are merged as told. Stops after `most` ranges (tables can be rubbish, or refer to
/// themselves). Long mode and PAE; empty without paging. Tables that can't be read are holes.
[[nodiscard]] std::vector<MappedRange> mapped_ranges(const PagingState& state, const ReadPhysical& read,
                                                     Merge merge, std::size_t most);

}  // namespace vmm::debug
