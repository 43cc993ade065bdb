// Disjoint page ranges with a value each, kept as few as possible.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <new>
#include <optional>
#include <utility>

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
    insert(range.begin(), {range.end(), value});
    join(range.begin());
    join(range.end());
  }

  void erase(uvm::GpaRange range) {
    if (range.empty()) return;
    split(range.begin());
    split(range.end());
    const auto end = runs_.lower_bound(range.end());
    for (auto it = runs_.lower_bound(range.begin()); it != end;) drop(it++);
  }

  /// Memory for that many more runs: as long as they suffice, assign() and erase() need no other. An erase()
  /// adds one run at most, an assign() two, and one that replaces whole runs none. False: there is no memory,
  /// and what was set aside before still is.
  [[nodiscard]] bool reserve(std::size_t runs) noexcept try {
    kept_ = runs;
    while (spare_.size() < runs) spare_.try_emplace(next_spare());
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }

  /// Whether the next assign() can be done, whatever it cuts.
  [[nodiscard]] bool can_assign() noexcept { return spare_.size() >= kMostAdded || reserve(kMostAdded); }

  /// The runs that overlap a range, cut to it, ascending; gaps are left out. Each is looked up when it is its
  /// turn, so the one that was seen last, and what is before it, may be changed meanwhile.
  class Runs {
   public:
    class Iterator {
     public:
      Iterator(const RunMap* map, uvm::GpaRange rest) : map_(map), rest_(rest), run_(map->first_in(rest)) {}
      [[nodiscard]] const Run& operator*() const { return *run_; }
      Iterator& operator++() {
        rest_ = rest_.from(run_->range.end());
        run_ = map_->first_in(rest_);
        return *this;
      }
      [[nodiscard]] bool operator==(std::default_sentinel_t /*end*/) const { return !run_; }

     private:
      const RunMap* map_;
      uvm::GpaRange rest_;
      std::optional<Run> run_;
    };

    Runs(const RunMap* map, uvm::GpaRange range) : map_(map), range_(range) {}
    [[nodiscard]] Iterator begin() const { return {map_, range_}; }
    [[nodiscard]] std::default_sentinel_t end() const { return {}; }

   private:
    const RunMap* map_;
    uvm::GpaRange range_;
  };
  [[nodiscard]] Runs in(uvm::GpaRange range) const { return {this, range}; }

  [[nodiscard]] std::optional<Run> first_in(uvm::GpaRange range) const {
    if (range.empty()) return std::nullopt;
    auto it = runs_.upper_bound(range.begin());
    if (it != runs_.begin() && std::prev(it)->second.end > range.begin()) --it;
    if (it == runs_.end() || it->first >= range.end()) return std::nullopt;
    const auto part = whole(it).intersection(range);
    return Run{part, it->second.value.advanced((part.begin() - it->first) >> uvm::kPageShift)};
  }

  /// The value at the begin of the run that holds all of a range, which is not empty; null: none does.
  [[nodiscard]] const Value* covering(uvm::GpaRange range) const {
    const auto it = runs_.upper_bound(range.begin());
    if (it == runs_.begin() || std::prev(it)->second.end < range.end()) return nullptr;
    return &std::prev(it)->second.value;
  }

  /// The whole run that `address` lies in; empty when it lies in a gap.
  [[nodiscard]] uvm::GpaRange around(uvm::Gpa address) const {
    const auto it = runs_.upper_bound(address);
    if (it == runs_.begin() || std::prev(it)->second.end <= address) return {};
    return whole(std::prev(it));
  }

  [[nodiscard]] std::size_t size() const { return runs_.size(); }
  /// Runs that memory is there for: those that are, and those that were set aside.
  [[nodiscard]] std::size_t room() const { return runs_.size() + spare_.size(); }

 private:
  struct Stored {
    uvm::Gpa end;
    Value value;
  };
  using Map = std::map<uvm::Gpa, Stored>;

  [[nodiscard]] static uvm::GpaRange whole(typename Map::const_iterator run) {
    return *uvm::GpaRange::from_bounds(run->first, run->second.end);
  }
  /// Spare nodes are a stack, by numbers.
  [[nodiscard]] uvm::Gpa next_spare() const { return uvm::Gpa(spare_.size()); }

  void insert(uvm::Gpa at, const Stored& stored) {
    if (spare_.empty()) {
      runs_.emplace(at, stored);
      return;
    }
    auto node = spare_.extract(std::prev(spare_.end()));
    node.key() = at;
    node.mapped() = stored;
    runs_.insert(std::move(node));
  }

  void drop(typename Map::iterator run) {
    auto node = runs_.extract(run);
    // Some are always kept, so that a run that takes the place of others needs no memory.
    if (spare_.size() >= std::max(kept_, kMostAdded)) return;
    node.key() = next_spare();
    spare_.insert(std::move(node));
  }

  void split(uvm::Gpa at) {
    auto it = runs_.lower_bound(at);
    if (it == runs_.begin()) return;
    --it;
    if (it->second.end <= at) return;
    const Stored tail{it->second.end, it->second.value.advanced((at - it->first) >> uvm::kPageShift)};
    insert(at, tail);
    it->second.end = at;
  }

  /// Makes one run of the two that meet at `at`, when the second continues the first.
  void join(uvm::Gpa at) {
    const auto right = runs_.find(at);
    if (right == runs_.end() || right == runs_.begin()) return;
    const auto left = std::prev(right);
    if (left->second.end != at) return;
    if (!(left->second.value.advanced((at - left->first) >> uvm::kPageShift) == right->second.value)) return;
    left->second.end = right->second.end;
    drop(right);
  }

  static constexpr std::size_t kMostAdded = 3;  // for a moment: two cuts, and the new one

  Map runs_;
  Map spare_;
  std::size_t kept_ = 0;
};

}  // namespace ept
