// How often each page of a space is held: a step function over addresses.
//
// Ranges are cut at blocks of 64 pages. What covers blocks whole is counted by its ends, in a tree, so that
// holding a terabyte costs two nodes; what covers a part of a block is counted by pages in that block, so
// that a scatter list costs an increment a page.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "uvm/base/range.h"

namespace uvm {

/// Not thread-safe. All ranges page-aligned, bytes.
class CountedRanges {
 public:
  /// Every page of the range once more; the highest count that this comes to. Without memory (std::bad_alloc)
  /// nothing has changed.
  std::uint64_t add(GpaRange range);
  /// Takes back one add() of that very range. Needs no memory.
  void remove(GpaRange range);

  [[nodiscard]] std::uint64_t count_at(Gpa address) const;
  /// The highest count in the range.
  [[nodiscard]] std::uint64_t most(GpaRange range) const;
  /// The parts of the range that are counted at least once, ascending and as long as they can be; their
  /// bytes.
  [[nodiscard]] std::vector<GpaRange> parts(GpaRange range) const;
  [[nodiscard]] std::uint64_t covered(GpaRange range) const;
  /// The bytes counted at least once, in O(1).
  [[nodiscard]] std::uint64_t covered() const { return covered_pages_ << kPageShift; }
  [[nodiscard]] std::uint64_t metadata_bytes() const;

 private:
  static constexpr std::uint64_t kBlockPages = 64;
  static constexpr std::uint64_t kKept = 64;  // blocks without a page in use: 20 KiB
  struct Edge {
    std::uint64_t count = 0;  // of every block from here to the next edge
    std::uint64_t ends = 0;   // ranges that begin or end here: the edge goes with the last of them
  };
  /// Pages held by ranges that do not cover all of their block.
  struct Block {
    std::uint64_t used = 0;  // a bit for each page whose count is not 0
    std::array<std::uint32_t, kBlockPages> counts{};
  };
  using Edges = std::map<std::uint64_t, Edge>;  // by number of block
  using Blocks = std::map<std::uint64_t, std::unique_ptr<Block>>;
  /// A range by its pages: [first, head) and [tail, end) in parts of blocks, [head, tail) in whole ones.
  struct Cut {
    explicit Cut(GpaRange range);
    std::uint64_t first;
    std::uint64_t head;
    std::uint64_t tail;
    std::uint64_t end;
  };

  Edges::iterator cut(std::uint64_t block);
  void leave(Edges::iterator edge);
  // Both answer with the highest count.
  std::uint64_t add_blocks(std::uint64_t begin, std::uint64_t end);
  std::uint64_t add_pages(std::uint64_t begin, std::uint64_t end);
  void remove_blocks(std::uint64_t begin, std::uint64_t end);
  Block& block_at(std::uint64_t number);
  [[nodiscard]] Block* find_block(std::uint64_t number);
  void remove_pages(std::uint64_t begin, std::uint64_t end);
  void trim(std::uint64_t number);
  /// How often whole blocks cover this one.
  [[nodiscard]] std::uint64_t count_of_block(std::uint64_t number) const;
  /// Pages of blocks [begin, end) that are held by parts of blocks.
  [[nodiscard]] std::uint64_t used_pages(std::uint64_t begin, std::uint64_t end) const;
  /// Calls `visit(part, count)` for pieces of the range with one count, ascending, zeros included; neighbours
  /// may have the same count.
  template <class F>
  void each(GpaRange range, F&& visit) const;

  Edges edges_;               // before the first, blocks are held 0 times
  Blocks blocks_;             // those with a page in use, and kKept others at most
  std::uint64_t unused_ = 0;  // of the blocks: who pins these pages again wants them again
  // Of the blocks, the one asked for last: a list comes page by page.
  Blocks::value_type* last_ = nullptr;
  std::uint64_t covered_pages_ = 0;  // held at least once
};

}  // namespace uvm
