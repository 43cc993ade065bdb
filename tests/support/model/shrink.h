// The shortest sequence that still fails.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace test::model {

/// Leaves out steps as long as `fails` says that what is left still does (delta debugging).
template <class Step, class Fails>
[[nodiscard]] std::vector<Step> shrunk(std::vector<Step> steps, Fails&& fails) {
  for (std::size_t size = std::max<std::size_t>(steps.size() / 2, 1); size > 0;) {
    bool is_shorter = false;
    for (std::size_t begin = 0; begin < steps.size();) {
      const std::size_t end = std::min(begin + size, steps.size());
      std::vector<Step> fewer(steps.begin(), steps.begin() + static_cast<std::ptrdiff_t>(begin));
      fewer.insert(fewer.end(), steps.begin() + static_cast<std::ptrdiff_t>(end), steps.end());
      if (fails(fewer)) {
        steps = std::move(fewer);
        is_shorter = true;
      } else {
        begin = end;
      }
    }
    // The last round, one step at a time, is repeated until nothing more can go.
    if (size > 1) {
      size /= 2;
    } else if (!is_shorter) {
      break;
    }
  }
  return steps;
}

}  // namespace test::model
