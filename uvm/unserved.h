// How far around a page nothing is entered yet: for implementations of Pmap::unserved().
#pragma once

#include <algorithm>
#include <cstdint>

#include "uvm/base/range.h"

namespace uvm {

/// Pages up to `most` away that are not served, as far as probed at doubling distances; `is_served(pages)`
/// asks for one.
template <class F>
[[nodiscard]] std::uint64_t unserved_distance(std::uint64_t most, F&& is_served) {
  std::uint64_t reached = 0;
  for (std::uint64_t step = 1; reached < most; step *= 2) {
    const std::uint64_t probe = std::min(reached + step, most);
    if (is_served(probe)) break;
    reached = probe;
  }
  return reached;
}

/// The part of `run` around `page`; `is_served(Gpa)` asks for one page.
template <class F>
[[nodiscard]] GpaRange unserved_around(Gpa page, GpaRange run, F&& is_served) {
  const std::uint64_t above = ((run.end() - page) >> kPageShift) - 1;
  const std::uint64_t below = (page - run.begin()) >> kPageShift;
  const auto up =
      unserved_distance(above, [&](std::uint64_t pages) { return is_served(page + (pages << kPageShift)); });
  const auto down =
      unserved_distance(below, [&](std::uint64_t pages) { return is_served(page - (pages << kPageShift)); });
  return *GpaRange::from_bounds(page - (down << kPageShift), page + ((up + 1) << kPageShift));
}

}  // namespace uvm
