// Ranges in ascending order, as few as possible.
#pragma once

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

}  // namespace uvm
