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
  /// Every page of the range once more. Without memory (std::bad_alloc) nothing has changed.
  void add(GpaRange range);
  /// Takes back one add() of that very range. Needs no memory.
  void remove(GpaRange range);

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
  struct Edge {
    std::uint64_t count = 0;  // of every page from here to the next edge
    std::uint64_t ends = 0;   // ranges that begin or end here: the edge goes with the last of them
  };
  using Edges = std::map<Gpa, Edge>;

  Edges::iterator cut(Gpa at);
  void leave(Edges::iterator edge);
  /// Calls `visit(part, count)` for every piece of the range with one count, ascending, zeros included.
  template <class F>
  void each(GpaRange range, F&& visit) const;

  Edges edges_;                // before the first, pages are held 0 times
  std::uint64_t covered_ = 0;  // bytes
};

}  // namespace uvm
