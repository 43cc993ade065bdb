// Disjoint page ranges with a value each, kept as few as possible.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "uvm/base/range.h"

namespace ept {

/// `Value` needs operator== and advanced(pages): the value that continues it `pages` further on. Neighbours
/// that continue each other are one run.
template <class Value>
class RunMap {
 public:
  struct Run {
    uvm::GpaRange range;
    Value value;
  };

  void assign(uvm::GpaRange range, const Value& value) {
    if (range.empty()) return;
    erase(range);
    runs_.emplace(range.begin(), Stored{range.end(), value});
    join(range.begin());
    join(range.end());
  }

  void erase(uvm::GpaRange range) {
    if (range.empty()) return;
    split(range.begin());
    split(range.end());
    runs_.erase(runs_.lower_bound(range.begin()), runs_.lower_bound(range.end()));
  }

  /// The runs that overlap `range`, cut to it, ascending; gaps are left out.
  [[nodiscard]] std::vector<Run> in(uvm::GpaRange range) const {
    std::vector<Run> found;
    auto it = runs_.upper_bound(range.begin());
    if (it != runs_.begin()) --it;
    for (; it != runs_.end() && it->first < range.end(); ++it) {
      const auto run = *uvm::GpaRange::from_bounds(it->first, it->second.end);
      const auto part = run.intersection(range);
      if (part.empty()) continue;
      found.push_back({part, it->second.value.advanced((part.begin() - it->first) >> uvm::kPageShift)});
    }
    return found;
  }

  [[nodiscard]] std::size_t size() const { return runs_.size(); }

 private:
  struct Stored {
    uvm::Gpa end;
    Value value;
  };

  void split(uvm::Gpa at) {
    auto it = runs_.lower_bound(at);
    if (it == runs_.begin()) return;
    --it;
    if (it->second.end <= at) return;
    const Stored tail{it->second.end, it->second.value.advanced((at - it->first) >> uvm::kPageShift)};
    it->second.end = at;
    runs_.emplace(at, tail);
  }

  /// Makes one run of the two that meet at `at`, when the second continues the first.
  void join(uvm::Gpa at) {
    const auto right = runs_.find(at);
    if (right == runs_.end() || right == runs_.begin()) return;
    const auto left = std::prev(right);
    if (left->second.end != at) return;
    if (!(left->second.value.advanced((at - left->first) >> uvm::kPageShift) == right->second.value)) return;
    left->second.end = right->second.end;
    runs_.erase(right);
  }

  std::map<uvm::Gpa, Stored> runs_;
};

}  // namespace ept
