// Ranges in ascending order, as few as possible.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "uvm/base/range.h"

namespace uvm {

/// `next`, which begins nowhere before the end of the last run: behind it, or as a part of it.
inline void append_run(std::vector<GpaRange>& runs, GpaRange next) {
  if (!runs.empty() && runs.back().end() == next.begin()) {
    runs.back() = *GpaRange::from_bounds(runs.back().begin(), next.end());
  } else {
    runs.push_back(next);
  }
}

/// What all ranges of a list have together; `range_of`: the range of an element that is none itself.
template <class List, class RangeOf = std::identity>
[[nodiscard]] std::uint64_t bytes_of(const List& list, RangeOf range_of = {}) {
  std::uint64_t bytes = 0;
  for (const auto& each : list) bytes += std::invoke(range_of, each).size();
  return bytes;
}

}  // namespace uvm
