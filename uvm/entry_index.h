// The index of a map's entries by address: what makes a look-up cost the same among ten entries and among a
// hundred thousand.
//
// Entries stay where they were made, in a tree that owns them; a look-up in it reads one cache line a level,
// each from somewhere else. The index is two levels of sorted keys: blocks of at most 64, and one array of
// the blocks' first keys. A look-up searches one array and one block, and then reads the entry.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include "uvm/base/units.h"

namespace uvm {

struct Entry;

/// Does not own the entries. Not thread-safe: the map's lock covers it.
class EntryIndex {
 public:
  /// Lets the next insert() do without memory. Throws std::bad_alloc, and has changed nothing then.
  void make_room();
  /// `begin`: the first address of the entry, which no other entry has. O(64), and now and then O(blocks).
  void insert(Gpa begin, Entry& entry) noexcept;
  /// The entry that was inserted with `begin`.
  void erase(Gpa begin) noexcept;

  /// The entry with the greatest first address that is not above `address`; null: there is none.
  [[nodiscard]] Entry* at_or_before(Gpa address) const;
  [[nodiscard]] std::size_t metadata_bytes() const;

 private:
  static constexpr std::size_t kKeys = 64;
  struct Block {
    std::size_t used = 0;
    std::array<Gpa, kKeys> keys;
    std::array<Entry*, kKeys> entries;
  };

  /// The block that holds `address`, if any does; the place of the first key above `address` in it.
  [[nodiscard]] std::size_t block_of(Gpa address) const;
  [[nodiscard]] static std::size_t place_above(const Block& block, Gpa address);
  void add_block(std::size_t at, Gpa first) noexcept;
  void remove_block(std::size_t at) noexcept;
  static void move_keys(Block& from, std::size_t begin, Block& to) noexcept;

  std::vector<Gpa> firsts_;  // of each block, its first key
  std::vector<std::unique_ptr<Block>> blocks_;
  std::unique_ptr<Block> spare_;
};

}  // namespace uvm
