// A mark for each of some pages, of a space that may be large.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>

#include "uvm/base/bit_words.h"
#include "uvm/base/range.h"

namespace ept::host {

/// A bit a page, and memory only where bits were set: 64 bytes and a node of a tree for 2 MiB. Marks are a
/// cache: where there is no memory for one, it is not set. Clearing needs none. Not thread-safe.
class PageMarks {
 public:
  void set(uvm::GpaRange range) noexcept;
  void clear(uvm::GpaRange range) noexcept;
  /// Whether every page of the range, which is not empty, is marked.
  [[nodiscard]] bool cover(uvm::GpaRange range) const noexcept;
  [[nodiscard]] std::uint64_t bytes() const;

 private:
  static constexpr std::uint64_t kChunk = uvm::kLargePageSize / uvm::kPageSize;  // pages
  static constexpr std::size_t kWords = uvm::words_for(kChunk);
  using Words = std::array<std::uint64_t, kWords>;

  std::map<std::uint64_t, Words> chunks_;  // by page number / kChunk
};

}  // namespace ept::host
