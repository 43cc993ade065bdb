// Reverse map of a layer: which mappings look at an object or an amap, and through which window (rule D4).
//
// NetBSD's amap does not know its maps; all it can do is lower every mapping of a page, wired and unrelated
// ones included. Here a layer holds one record a mapping, and the places a page is mapped at are computed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <vector>

#include "uvm/base/range.h"

namespace uvm {

class PinTable;
class Pmap;

/// A mapping of [offset, offset + range.size()) of the layer at `range` of one pmap. All bytes, page-aligned.
struct Use {
  Pmap* pmap = nullptr;
  GpaRange range;
  ObjectOffset offset{};
  /// The pins of the space that the mapping is in, whose map outlives the use; null: it has none.
  const PinTable* pins = nullptr;

  /// Offsets that the mapping shows.
  [[nodiscard]] ObjectRange window() const {
    return ObjectRange::from_size(offset, range.size()).value_or(ObjectRange());
  }
  friend bool operator==(const Use&, const Use&) = default;
};

/// The parts of `range` that lie in none of `windows` (in any order), ascending.
[[nodiscard]] std::vector<ObjectRange> gaps(ObjectRange range, std::vector<ObjectRange> windows);

/// Not thread-safe: the layer's lock protects it.
class ReverseMap {
 public:
  /// Two mappings of one pmap never overlap, but for the moment in which one replaces another. Only what adds
  /// a use needs memory; when there is none (std::bad_alloc) nothing has changed.
  void add(const Use& use);
  void remove(const Use& use);
  /// The use becomes two, cut at an address inside it; two such become one again.
  void split(const Use& use, Gpa at);
  void join(const Use& low, const Use& high);

  /// Calls `found(pmap, part)` for every place where a part of `range` is mapped.
  void each_place(ObjectRange range, const std::function<void(Pmap&, GpaRange)>& found) const;
  /// The first part of `range` that no use shows; empty: there is none. Needs no memory.
  [[nodiscard]] ObjectRange first_uncovered(ObjectRange range) const;
  /// The parts of `range` that pins of the users hold, ascending.
  [[nodiscard]] std::vector<ObjectRange> pinned(ObjectRange range) const;

  [[nodiscard]] std::size_t size() const { return uses_.size(); }
  [[nodiscard]] bool empty() const { return uses_.empty(); }
  /// Whether some page of `range` appears at more than one place. Clipping a mapping does not make it so: its
  /// parts show the layer at the same addresses as before.
  [[nodiscard]] bool is_shared_in(ObjectRange range) const;

 private:
  struct Before {
    bool operator()(const Use& a, const Use& b) const {
      if (a.pmap != b.pmap) return std::less<>()(a.pmap, b.pmap);
      return a.range.begin() < b.range.begin();
    }
  };
  /// Uses that show the layer shifted alike: `origin` is where offset 0 would be (mod 2^64).
  struct View {
    Pmap* pmap;
    std::uint64_t origin;
    std::size_t uses;
  };

  using Uses = std::multiset<Use, Before>;

  [[nodiscard]] Uses::iterator find(const Use& use);
  [[nodiscard]] std::vector<View>::iterator view_of(const Use& use);
  void set_range(Uses::iterator use, GpaRange range);

  Uses uses_;
  std::vector<View> views_;
};

}  // namespace uvm
