#include "uvm/counted_ranges.h"

#include <algorithm>
#include <iterator>

namespace uvm {

CountedRanges::Edges::iterator CountedRanges::cut(Gpa at) {
  auto next = edges_.lower_bound(at);
  if (next != edges_.end() && next->first == at) return next;
  const std::uint64_t count = next == edges_.begin() ? 0 : std::prev(next)->second;
  return edges_.emplace_hint(next, at, count);
}

void CountedRanges::change(GpaRange range, int by) {
  if (range.empty()) return;
  const auto end = cut(range.end());
  const auto begin = cut(range.begin());
  for (auto at = begin; at != end; ++at) {
    const std::uint64_t bytes = std::next(at)->first - at->first;
    if (by > 0 && at->second++ == 0) covered_ += bytes;
    if (by < 0 && --at->second == 0) covered_ -= bytes;
  }
  // Edges at which nothing changes any more go.
  std::uint64_t before = begin == edges_.begin() ? 0 : std::prev(begin)->second;
  const auto stop = std::next(end);
  for (auto at = begin; at != stop;) {
    const std::uint64_t count = at->second;
    at = count == before ? edges_.erase(at) : std::next(at);
    before = count;
  }
}

template <class F>
void CountedRanges::each(GpaRange range, F&& visit) const {
  auto next = edges_.upper_bound(range.begin());
  std::uint64_t count = next == edges_.begin() ? 0 : std::prev(next)->second;
  for (Gpa at = range.begin(); at < range.end();) {
    const Gpa end = next == edges_.end() ? range.end() : std::min(next->first, range.end());
    visit(*GpaRange::from_bounds(at, end), count);
    at = end;
    if (next != edges_.end()) count = (next++)->second;
  }
}

std::uint64_t CountedRanges::count_at(Gpa address) const {
  const auto next = edges_.upper_bound(address);
  return next == edges_.begin() ? 0 : std::prev(next)->second;
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
