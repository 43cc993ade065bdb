#include "uvm/counted_ranges.h"

#include <algorithm>
#include <iterator>
#include <new>

namespace uvm {

CountedRanges::Edges::iterator CountedRanges::cut(Gpa at) {
  auto next = edges_.lower_bound(at);
  if (next == edges_.end() || next->first != at) {
    const std::uint64_t count = next == edges_.begin() ? 0 : std::prev(next)->second.count;
    next = edges_.emplace_hint(next, at, Edge{count, 0});
  }
  ++next->second.ends;
  return next;
}

void CountedRanges::leave(Edges::iterator edge) {
  if (--edge->second.ends == 0) edges_.erase(edge);
}

void CountedRanges::add(GpaRange range) {
  if (range.empty()) return;
  const auto end = cut(range.end());
  auto begin = end;
  try {
    begin = cut(range.begin());
  } catch (const std::bad_alloc&) {
    leave(end);
    throw;
  }
  for (auto at = begin; at != end; ++at) {
    if (at->second.count++ == 0) covered_ += std::next(at)->first - at->first;
  }
}

void CountedRanges::remove(GpaRange range) {
  const auto begin = edges_.find(range.begin());
  const auto end = edges_.find(range.end());
  if (range.empty() || begin == edges_.end() || end == edges_.end()) return;
  for (auto at = begin; at != end; ++at) {
    if (--at->second.count == 0) covered_ -= std::next(at)->first - at->first;
  }
  leave(begin);
  leave(end);
}

template <class F>
void CountedRanges::each(GpaRange range, F&& visit) const {
  auto next = edges_.upper_bound(range.begin());
  std::uint64_t count = next == edges_.begin() ? 0 : std::prev(next)->second.count;
  for (Gpa at = range.begin(); at < range.end();) {
    const Gpa end = next == edges_.end() ? range.end() : std::min(next->first, range.end());
    visit(*GpaRange::from_bounds(at, end), count);
    at = end;
    if (next != edges_.end()) count = (next++)->second.count;
  }
}

std::uint64_t CountedRanges::count_at(Gpa address) const {
  const auto next = edges_.upper_bound(address);
  return next == edges_.begin() ? 0 : std::prev(next)->second.count;
}

std::uint64_t CountedRanges::most(GpaRange range) const {
  std::uint64_t highest = 0;
  each(range, [&](GpaRange, std::uint64_t count) { highest = std::max(highest, count); });
  return highest;
}

std::vector<GpaRange> CountedRanges::parts(GpaRange range) const {
  std::vector<GpaRange> found;
  each(range, [&](GpaRange part, std::uint64_t count) {
    if (count == 0) return;
    if (!found.empty() && found.back().end() == part.begin()) {
      found.back() = *GpaRange::from_bounds(found.back().begin(), part.end());
    } else {
      found.push_back(part);
    }
  });
  return found;
}

std::uint64_t CountedRanges::covered(GpaRange range) const {
  std::uint64_t bytes = 0;
  each(range, [&](GpaRange part, std::uint64_t count) { bytes += count != 0 ? part.size() : 0; });
  return bytes;
}

std::uint64_t CountedRanges::metadata_bytes() const {
  // A tree node's header is four words.
  return edges_.size() * (sizeof(Edges::value_type) + 4 * sizeof(void*));
}

}  // namespace uvm
