#include "uvm/open_ranges.h"

#include <algorithm>

namespace uvm {

void OpenRanges::add(GpaRange range) {
  const MutexLock lock(lock_);
  ranges_.push_back(range);
}

void OpenRanges::remove(GpaRange range) {
  const MutexLock lock(lock_);
  const auto at = std::find(ranges_.begin(), ranges_.end(), range);
  if (at == ranges_.end()) return;
  *at = ranges_.back();
  ranges_.pop_back();
}

std::optional<GpaRange> OpenRanges::overlapping(GpaRange range) const {
  const MutexLock lock(lock_);
  for (const GpaRange& open : ranges_) {
    if (open.overlaps(range)) return open;
  }
  return std::nullopt;
}

}  // namespace uvm
