// Some pages of a range.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "uvm/base/bit_words.h"
#include "uvm/base/range.h"
#include "uvm/base/runs.h"

namespace uvm {

/// A bit a page; 32 KiB for a GiB. What is outside of the range is never in it. Not thread-safe.
class PageSet {
 public:
  PageSet() = default;
  /// `range` is page-aligned. May throw std::bad_alloc.
  explicit PageSet(GpaRange range) : range_(range), words_(words_for(range.pages())) {}

  void add(GpaRange pages) {
    const GpaRange part = pages.intersection(range_);
    if (part.empty()) return;
    const std::uint64_t first = number_of(part.begin());
    each_bit_word(first, first + part.pages(), [&](std::size_t word, std::uint64_t mask) {
      words_[word] |= mask;
      return true;
    });
  }
  /// Bit n of `bits` is page n from `first` on.
  void add(Gpa first, std::span<const std::uint64_t> bits) {
    each_set_bit(bits, [&](std::uint64_t n) { add(GpaRange::page_of(first + (n << kPageShift))); });
  }
  void clear() { words_.assign(words_.size(), 0); }

  [[nodiscard]] bool contains(Gpa page) const {
    if (!range_.contains(page)) return false;
    const std::uint64_t number = number_of(page);
    return (words_[number / kWordBits] >> (number % kWordBits) & 1) != 0;
  }
  [[nodiscard]] std::uint64_t pages() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t word : words_) sum += static_cast<std::uint64_t>(std::popcount(word));
    return sum;
  }
  /// As few runs as there can be, ascending.
  [[nodiscard]] std::vector<GpaRange> runs() const {
    std::vector<GpaRange> found;
    each_set_bit(words_, [&](std::uint64_t n) {
      append_run(found, GpaRange::page_of(range_.begin() + (n << kPageShift)));
    });
    return found;
  }

 private:
  [[nodiscard]] std::uint64_t number_of(Gpa page) const { return (page - range_.begin()) >> kPageShift; }

  GpaRange range_;
  std::vector<std::uint64_t> words_;
};

}  // namespace uvm
