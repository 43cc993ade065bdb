#include "uvm/reverse_map.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "uvm/pin_table.h"

namespace uvm {
namespace {

std::uint64_t origin_of(const Use& use) {
  return use.range.begin().value() - use.offset.value();
}

}  // namespace

std::vector<ObjectRange> gaps(ObjectRange range, std::vector<ObjectRange> windows) {
  std::sort(windows.begin(), windows.end());
  std::vector<ObjectRange> holes;
  ObjectOffset at = range.begin();
  for (const ObjectRange& window : windows) {
    if (at < window.begin()) holes.push_back(*ObjectRange::from_bounds(at, window.begin()));
    at = std::max(at, window.end());
  }
  if (at < range.end()) holes.push_back(*ObjectRange::from_bounds(at, range.end()));
  return holes;
}

ReverseMap::Uses::iterator ReverseMap::find(const Use& use) {
  const auto [first, end] = uses_.equal_range(use);
  return std::find_if(first, end,
                      [&](const Use& u) { return u.range == use.range && u.offset == use.offset; });
}

std::vector<ReverseMap::View>::iterator ReverseMap::view_of(const Use& use) {
  return std::find_if(views_.begin(), views_.end(),
                      [&](const View& v) { return v.pmap == use.pmap && v.origin == origin_of(use); });
}

void ReverseMap::add(const Use& use) {
  if (views_.size() == views_.capacity()) views_.reserve(2 * views_.size() + 1);
  uses_.insert(use);
  if (const auto view = view_of(use); view != views_.end()) {
    ++view->uses;
  } else {
    views_.push_back({use.pmap, origin_of(use), 1});
  }
}

void ReverseMap::remove(const Use& use) {
  const auto one = find(use);
  if (one == uses_.end()) return;
  uses_.erase(one);
  const auto view = view_of(use);
  if (--view->uses == 0) views_.erase(view);
}

void ReverseMap::set_range(Uses::iterator use, GpaRange range) {
  auto node = uses_.extract(use);
  node.value().range = range;
  uses_.insert(std::move(node));
}

void ReverseMap::split(const Use& use, Gpa at) {
  const auto low = find(use);
  if (low == uses_.end()) return;
  Use high = *low;
  high.range = low->range.from(at);
  high.offset = low->offset + (at - low->range.begin());
  add(high);
  set_range(low, low->range.before(at));
}

void ReverseMap::join(const Use& low, const Use& high) {
  const auto one = find(low);
  if (one == uses_.end()) return;
  remove(high);
  set_range(one, *GpaRange::from_bounds(low.range.begin(), high.range.end()));
}

void ReverseMap::each_place(ObjectRange range, const std::function<void(Pmap&, GpaRange)>& found) const {
  for (const Use& use : uses_) {
    const ObjectRange part = use.window().intersection(range);
    if (part.empty()) continue;
    const Gpa begin = use.range.begin() + (part.begin() - use.offset);
    found(*use.pmap, *GpaRange::from_size(begin, part.size()));
  }
}

bool ReverseMap::is_shared_in(ObjectRange range) const {
  if (views_.size() < 2) return false;
  // Two uses of one view never overlap, so pages that two uses show are shared. A range is asked about by one
  // who shows all of it: the next use that shows some of it settles the question.
  for (auto one = uses_.begin(); one != uses_.end(); ++one) {
    const ObjectRange part = one->window().intersection(range);
    if (part.empty()) continue;
    for (auto other = std::next(one); other != uses_.end(); ++other) {
      if (other->window().overlaps(part)) return true;
    }
  }
  return false;
}

ObjectRange ReverseMap::first_uncovered(ObjectRange range) const {
  // Begins behind whatever shows the begin, until nothing does.
  bool moved = true;
  while (moved && !range.empty()) {
    moved = false;
    for (const Use& use : uses_) {
      if (!use.window().contains(range.begin()) || range.empty()) continue;
      range = range.from(use.window().end());
      moved = true;
    }
  }
  for (const Use& use : uses_) {
    if (use.window().overlaps(range)) range = range.before(use.window().begin());
  }
  return range;
}

std::vector<ObjectRange> ReverseMap::pinned(ObjectRange range) const {
  std::vector<ObjectRange> held;
  for (const Use& use : uses_) {
    const ObjectRange part = use.window().intersection(range);
    if (use.pins == nullptr || part.empty()) continue;
    const Gpa begin = use.range.begin() + (part.begin() - use.offset);
    for (const GpaRange& pin : use.pins->parts(*GpaRange::from_size(begin, part.size()))) {
      held.push_back(*ObjectRange::from_size(part.begin() + (pin.begin() - begin), pin.size()));
    }
  }
  // What lies between the gaps, so that pins of several users which overlap become one part.
  return gaps(range, gaps(range, std::move(held)));
}

}  // namespace uvm
