#include "ept/host/page_marks.h"

#include <algorithm>
#include <new>

namespace ept::host {
namespace {

/// Calls visit(word, mask) for the pages [first, end) of a chunk's words, until it answers false.
template <class Words, class F>
bool each_word(Words& words, std::uint64_t first, std::uint64_t end, F&& visit) {
  return uvm::each_bit_word(first, end,
                            [&](std::size_t word, std::uint64_t mask) { return visit(words[word], mask); });
}

}  // namespace

void PageMarks::set(uvm::GpaRange range) noexcept try {
  const std::uint64_t end = range.end().page();
  for (std::uint64_t page = range.begin().page(); page < end;) {
    const std::uint64_t chunk = page / kChunk;
    const std::uint64_t stop = std::min(end, (chunk + 1) * kChunk);
    each_word(chunks_[chunk], page % kChunk, page % kChunk + (stop - page),
              [](std::uint64_t& word, std::uint64_t mask) {
                word |= mask;
                return true;
              });
    page = stop;
  }
} catch (const std::bad_alloc&) {
  return;  // unmarked, then
}

void PageMarks::clear(uvm::GpaRange range) noexcept {
  if (range.empty()) return;
  const std::uint64_t begin = range.begin().page();
  const std::uint64_t end = range.end().page();
  for (auto it = chunks_.lower_bound(begin / kChunk); it != chunks_.end() && it->first * kChunk < end;) {
    const std::uint64_t first = it->first * kChunk;
    if (begin <= first && first + kChunk <= end) {
      it = chunks_.erase(it);
      continue;
    }
    each_word(it->second, std::max(begin, first) - first, std::min(end, first + kChunk) - first,
              [](std::uint64_t& word, std::uint64_t mask) {
                word &= ~mask;
                return true;
              });
    ++it;
  }
}

bool PageMarks::cover(uvm::GpaRange range) const noexcept {
  const std::uint64_t end = range.end().page();
  for (std::uint64_t page = range.begin().page(); page < end;) {
    const std::uint64_t chunk = page / kChunk;
    const std::uint64_t stop = std::min(end, (chunk + 1) * kChunk);
    const auto found = chunks_.find(chunk);
    if (found == chunks_.end()) return false;
    const auto is_set = [](std::uint64_t word, std::uint64_t mask) { return (word & mask) == mask; };
    if (!each_word(found->second, page % kChunk, page % kChunk + (stop - page), is_set)) return false;
    page = stop;
  }
  return true;
}

std::uint64_t PageMarks::bytes() const {
  return chunks_.size() * (sizeof(*chunks_.begin()) + 4 * sizeof(void*));  // a node's header is four words
}

}  // namespace ept::host
