// Half-open ranges as values: nobody adds a start and a length by hand.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "uvm/base/units.h"

namespace uvm {

/// [begin, end) of one address space, in bytes. Always begin <= end: every way to make one keeps it so.
template <class A>
class Range {
 public:
  constexpr Range() = default;

  /// nullopt when `begin + bytes` would pass 2^64.
  [[nodiscard]] static constexpr std::optional<Range> from_size(A begin, std::uint64_t bytes) {
    if (begin.value() + bytes < begin.value()) return std::nullopt;
    return Range(begin, begin + bytes);
  }
  /// nullopt when end lies below begin.
  [[nodiscard]] static constexpr std::optional<Range> from_bounds(A begin, A end) {
    if (end < begin) return std::nullopt;
    return Range(begin, end);
  }
  /// The page (4 KiB) that holds `address`; the last page of 2^64 is not representable and comes back empty.
  [[nodiscard]] static constexpr Range page_of(A address) {
    return from_size(address.page_down(), kPageSize).value_or(Range());
  }

  [[nodiscard]] constexpr A begin() const { return begin_; }
  [[nodiscard]] constexpr A end() const { return end_; }
  [[nodiscard]] constexpr std::uint64_t size() const { return end_ - begin_; }
  [[nodiscard]] constexpr std::uint64_t pages() const { return size() >> kPageShift; }
  [[nodiscard]] constexpr bool empty() const { return begin_ == end_; }
  [[nodiscard]] constexpr bool is_page_aligned() const {
    return begin_.is_page_aligned() && end_.is_page_aligned();
  }

  [[nodiscard]] constexpr bool contains(A address) const { return begin_ <= address && address < end_; }
  /// An empty range is contained in everything that reaches its begin.
  [[nodiscard]] constexpr bool contains(Range other) const {
    return begin_ <= other.begin_ && other.end_ <= end_;
  }
  [[nodiscard]] constexpr bool overlaps(Range other) const {
    return begin_ < other.end_ && other.begin_ < end_ && !empty() && !other.empty();
  }
  /// The common part; empty (at the later begin, clamped) when there is none.
  [[nodiscard]] constexpr Range intersection(Range other) const {
    const A low = std::max(begin_, other.begin_);
    const A high = std::min(end_, other.end_);
    return low < high ? Range(low, high) : Range(low, low);
  }
  /// The part below `at`, and the part from `at` on; `at` is clamped into the range.
  [[nodiscard]] constexpr Range before(A at) const { return Range(begin_, std::clamp(at, begin_, end_)); }
  [[nodiscard]] constexpr Range from(A at) const { return Range(std::clamp(at, begin_, end_), end_); }
  /// The smallest page-aligned range that holds this one; nullopt when rounding up would pass 2^64.
  [[nodiscard]] constexpr std::optional<Range> page_cover() const {
    const A up = end_.page_up();
    if (up < end_) return std::nullopt;
    return Range(begin_.page_down(), up);
  }

  friend constexpr auto operator<=>(Range, Range) = default;

 private:
  constexpr Range(A begin, A end) : begin_(begin), end_(end) {}
  A begin_;
  A end_;
};

using GpaRange = Range<Gpa>;
using HvaRange = Range<Hva>;
using ObjectRange = Range<ObjectOffset>;

/// "0x100000+0x2000", the way errors and logs print addresses and ranges.
[[nodiscard]] std::string hex(std::uint64_t value);
template <class Tag>
[[nodiscard]] std::string to_string(Address<Tag> address) {
  return hex(address.value());
}
template <class A>
[[nodiscard]] std::string to_string(Range<A> range) {
  return hex(range.begin().value()) + "+" + hex(range.size());
}

}  // namespace uvm
