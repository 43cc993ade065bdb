#include "uvm/counted_ranges.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <new>

#include "uvm/base/runs.h"

namespace uvm {
namespace {

GpaRange pages(std::uint64_t begin, std::uint64_t end) {
  return *GpaRange::from_bounds(Gpa(begin << kPageShift), Gpa(end << kPageShift));
}

}  // namespace

CountedRanges::Cut::Cut(GpaRange range)
    : first(range.begin().page()),
      head((first + kBlockPages - 1) / kBlockPages * kBlockPages),
      tail((first + range.pages()) / kBlockPages * kBlockPages),
      end(first + range.pages()) {
  // Inside one block there is no whole one: all of it is the head.
  if (head > tail) head = tail = end;
}

CountedRanges::Edges::iterator CountedRanges::cut(std::uint64_t block) {
  auto next = edges_.lower_bound(block);
  if (next == edges_.end() || next->first != block) {
    const std::uint64_t count = next == edges_.begin() ? 0 : std::prev(next)->second.count;
    next = edges_.emplace_hint(next, block, Edge{count, 0});
  }
  ++next->second.ends;
  return next;
}

void CountedRanges::leave(Edges::iterator edge) {
  if (--edge->second.ends == 0) edges_.erase(edge);
}

std::uint64_t CountedRanges::add_blocks(std::uint64_t begin, std::uint64_t end) {
  if (begin == end) return 0;
  const auto last = cut(end);
  auto first = last;
  try {
    first = cut(begin);
  } catch (const std::bad_alloc&) {
    leave(last);
    throw;
  }
  // What pages of parts of these blocks have besides is looked at only where there are such.
  const std::uint64_t used = used_pages(begin, end);
  std::uint64_t highest = 0;
  for (auto at = first; at != last; ++at) {
    highest = std::max(highest, ++at->second.count);
    if (at->second.count != 1) continue;
    const std::uint64_t until = std::next(at)->first;
    covered_pages_ += (until - at->first) * kBlockPages - used_pages(at->first, until);
  }
  if (used != 0) highest = most(pages(begin * kBlockPages, end * kBlockPages));
  return highest;
}

void CountedRanges::remove_blocks(std::uint64_t begin, std::uint64_t end) {
  const auto first = edges_.find(begin);
  const auto last = edges_.find(end);
  if (begin == end || first == edges_.end() || last == edges_.end()) return;
  for (auto at = first; at != last; ++at) {
    if (--at->second.count != 0) continue;
    const std::uint64_t until = std::next(at)->first;
    covered_pages_ -= (until - at->first) * kBlockPages - used_pages(at->first, until);
  }
  leave(first);
  leave(last);
}

CountedRanges::Block& CountedRanges::block_at(std::uint64_t number) {
  if (Block* const known = find_block(number)) return *known;
  last_ = &*blocks_.emplace(number, std::make_unique<Block>()).first;
  ++unused_;
  return *last_->second;
}

CountedRanges::Block* CountedRanges::find_block(std::uint64_t number) {
  if (last_ == nullptr || last_->first != number) {
    const auto at = blocks_.find(number);
    if (at == blocks_.end()) return nullptr;
    last_ = &*at;
  }
  return last_->second.get();
}

std::uint64_t CountedRanges::add_pages(std::uint64_t begin, std::uint64_t end) {
  if (begin == end) return 0;
  const std::uint64_t number = begin / kBlockPages;
  Block& block = block_at(number);
  if (block.used == 0) --unused_;
  const std::uint64_t covered = count_of_block(number);
  std::uint64_t highest = 0;
  for (std::uint64_t page = begin; page < end; ++page) {
    const std::uint64_t count = ++block.counts[page % kBlockPages];
    highest = std::max(highest, covered + count);
    if (count != 1) continue;
    block.used |= std::uint64_t{1} << (page % kBlockPages);
    covered_pages_ += covered == 0 ? 1 : 0;
  }
  return highest;
}

void CountedRanges::remove_pages(std::uint64_t begin, std::uint64_t end) {
  if (begin == end) return;
  const std::uint64_t number = begin / kBlockPages;
  Block* const block = find_block(number);
  if (block == nullptr) return;
  const bool covered = count_of_block(number) != 0;
  for (std::uint64_t page = begin; page < end; ++page) {
    if (--block->counts[page % kBlockPages] != 0) continue;
    block->used &= ~(std::uint64_t{1} << (page % kBlockPages));
    covered_pages_ -= covered ? 0 : 1;
  }
  if (block->used != 0) return;
  ++unused_;
  trim(number);
}

void CountedRanges::trim(std::uint64_t number) {
  const Block* const block = find_block(number);
  if (block == nullptr || block->used != 0 || unused_ <= kKept) return;
  last_ = nullptr;
  blocks_.erase(number);
  --unused_;
}

std::uint64_t CountedRanges::add(GpaRange range) {
  if (range.empty()) return 0;
  const Cut part(range);
  if (part.head == part.end) return add_pages(part.first, part.end);
  // All that needs memory comes before the first count.
  if (part.first != part.head) block_at(part.first / kBlockPages);
  std::uint64_t blocks = 0;
  try {
    if (part.tail != part.end) block_at(part.tail / kBlockPages);
    blocks = add_blocks(part.head / kBlockPages, part.tail / kBlockPages);
  } catch (const std::bad_alloc&) {
    trim(part.first / kBlockPages);
    trim(part.tail / kBlockPages);
    throw;
  }
  return std::max({blocks, add_pages(part.first, part.head), add_pages(part.tail, part.end)});
}

void CountedRanges::remove(GpaRange range) {
  if (range.empty()) return;
  const Cut part(range);
  remove_pages(part.first, part.head);
  remove_blocks(part.head / kBlockPages, part.tail / kBlockPages);
  remove_pages(part.tail, part.end);
}

std::uint64_t CountedRanges::count_of_block(std::uint64_t number) const {
  if (edges_.empty()) return 0;
  const auto next = edges_.upper_bound(number);
  return next == edges_.begin() ? 0 : std::prev(next)->second.count;
}

std::uint64_t CountedRanges::used_pages(std::uint64_t begin, std::uint64_t end) const {
  std::uint64_t used = 0;
  for (auto at = blocks_.lower_bound(begin); at != blocks_.end() && at->first < end; ++at) {
    used += static_cast<std::uint64_t>(std::popcount(at->second->used));
  }
  return used;
}

template <class F>
void CountedRanges::each(GpaRange range, F&& visit) const {
  std::uint64_t page = range.begin().page();
  const std::uint64_t end = page + range.pages();
  auto edge = edges_.upper_bound(page / kBlockPages);
  auto block = blocks_.lower_bound(page / kBlockPages);
  std::uint64_t count = edge == edges_.begin() ? 0 : std::prev(edge)->second.count;
  while (page < end) {
    while (edge != edges_.end() && edge->first * kBlockPages <= page) count = (edge++)->second.count;
    std::uint64_t until = edge == edges_.end() ? end : std::min(end, edge->first * kBlockPages);
    if (block != blocks_.end() && block->first * kBlockPages > page) {
      until = std::min(until, block->first * kBlockPages);
    } else if (block != blocks_.end()) {
      until = std::min(until, (block->first + 1) * kBlockPages);
      const auto& counts = block->second->counts;
      for (; page < until; ++page) visit(pages(page, page + 1), count + counts[page % kBlockPages]);
      if (page == (block->first + 1) * kBlockPages) ++block;
      continue;
    }
    visit(pages(page, until), count);
    page = until;
  }
}

std::uint64_t CountedRanges::count_at(Gpa address) const {
  const std::uint64_t number = address.page() / kBlockPages;
  const auto block = blocks_.find(number);
  const std::uint64_t by_pages =
      block == blocks_.end() ? 0 : block->second->counts[address.page() % kBlockPages];
  return by_pages + count_of_block(number);
}

std::uint64_t CountedRanges::most(GpaRange range) const {
  std::uint64_t highest = 0;
  each(range, [&](GpaRange, std::uint64_t count) { highest = std::max(highest, count); });
  return highest;
}

std::vector<GpaRange> CountedRanges::parts(GpaRange range) const {
  std::vector<GpaRange> found;
  each(range, [&](GpaRange part, std::uint64_t count) {
    if (count != 0) append_run(found, part);
  });
  return found;
}

std::uint64_t CountedRanges::covered(GpaRange range) const {
  std::uint64_t bytes = 0;
  each(range, [&](GpaRange part, std::uint64_t count) { bytes += count != 0 ? part.size() : 0; });
  return bytes;
}

std::uint64_t CountedRanges::metadata_bytes() const {
  constexpr std::uint64_t kNode = 4 * sizeof(void*);  // a tree node's header
  return edges_.size() * (sizeof(Edges::value_type) + kNode) +
         blocks_.size() * (sizeof(Blocks::value_type) + kNode + sizeof(Block));
}

}  // namespace uvm
