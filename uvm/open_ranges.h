// The ranges of a space that somebody in this process is looking at right now.
#pragma once

#include <optional>
#include <vector>

#include "uvm/base/lock.h"
#include "uvm/base/range.h"

namespace uvm {

/// Thread-safe. A range is added with the map's lock held (shared or not) and asked for with it held
/// exclusively, so that no change of the map can slip between the two.
class OpenRanges {
 public:
  void add(GpaRange range);
  void remove(GpaRange range);
  /// Waits for a call that is under way.
  void pass() const { const MutexLock lock(lock_); }
  /// Some open range that overlaps `range`.
  [[nodiscard]] std::optional<GpaRange> overlapping(GpaRange range) const;

 private:
  mutable Mutex lock_{LockRank::Leaf};
  std::vector<GpaRange> ranges_ GUARDED_BY(lock_);  // a handful at most
};

}  // namespace uvm
