// How often each page of a space is held: a step function over addresses.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "uvm/base/range.h"

namespace uvm {

/// Costs by the number of edges, not of pages. Not thread-safe. All ranges page-aligned, bytes.
class CountedRanges {
 public:
  /// Every page of the range once more; every page once less (each must have been counted).
  void add(GpaRange range) { change(range, 1); }
  void remove(GpaRange range) { change(range, -1); }

  [[nodiscard]] std::uint64_t count_at(Gpa address) const;
  /// The highest count in the range.
  [[nodiscard]] std::uint64_t most(GpaRange range) const;
  /// The parts of the range that are counted at least once, ascending and as long as they can be; their
  /// bytes.
  [[nodiscard]] std::vector<GpaRange> parts(GpaRange range) const;
  [[nodiscard]] std::uint64_t covered(GpaRange range) const;
  /// The bytes counted at least once, in O(1).
  [[nodiscard]] std::uint64_t covered() const { return covered_; }
  [[nodiscard]] std::uint64_t metadata_bytes() const;

 private:
  using Edges = std::map<Gpa, std::uint64_t>;

  void change(GpaRange range, int by);
  Edges::iterator cut(Gpa at);
  /// Calls `visit(part, count)` for every piece of the range with one count, ascending, zeros included.
  template <class F>
  void each(GpaRange range, F&& visit) const;

  Edges edges_;  // from each key on, up to the next one, pages are held so many times; 0 before the first
  std::uint64_t covered_ = 0;  // bytes
};

}  // namespace uvm
