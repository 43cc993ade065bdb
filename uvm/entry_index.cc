#include "uvm/entry_index.h"

#include <algorithm>
#include <utility>

namespace uvm {
namespace {

/// How many of `count` ascending keys are not above `address`. Four parts at a time, whose first keys are
/// read at once: what a search costs is the loads that wait for one another. No branch that the processor
/// would have to guess: half of its guesses would be wrong.
std::size_t keys_up_to(const Gpa* keys, std::size_t count, Gpa address) {
  const auto is_up_to = [address](Gpa key) -> std::size_t { return key <= address ? 1 : 0; };
  const Gpa* base = keys;
  while (count > 4) {
    const std::size_t part = count / 4;
    base += part * (is_up_to(base[part - 1]) + is_up_to(base[2 * part - 1]) + is_up_to(base[3 * part - 1]));
    // Of the parts before the last these are more keys than it has, all of them above.
    count -= 3 * part;
  }
  std::size_t rest = 0;
  for (std::size_t i = 0; i < count; ++i) rest += is_up_to(base[i]);
  return static_cast<std::size_t>(base - keys) + rest;
}

}  // namespace

void EntryIndex::make_room() {
  if (!spare_) spare_ = std::make_unique<Block>();
  const std::size_t blocks = blocks_.size();
  if (blocks_.capacity() == blocks) blocks_.reserve(2 * blocks + 8);
  if (firsts_.capacity() == blocks) firsts_.reserve(2 * blocks + 8);
}

std::size_t EntryIndex::block_of(Gpa address) const {
  const std::size_t above = keys_up_to(firsts_.data(), firsts_.size(), address);
  return above == 0 ? 0 : above - 1;
}

std::size_t EntryIndex::place_above(const Block& block, Gpa address) {
  return keys_up_to(block.keys.data(), block.used, address);
}

void EntryIndex::add_block(std::size_t at, Gpa first) noexcept {
  const auto offset = static_cast<std::ptrdiff_t>(at);
  blocks_.insert(blocks_.begin() + offset, std::move(spare_));
  firsts_.insert(firsts_.begin() + offset, first);
}

void EntryIndex::remove_block(std::size_t at) noexcept {
  const auto offset = static_cast<std::ptrdiff_t>(at);
  spare_ = std::move(blocks_[at]);
  blocks_.erase(blocks_.begin() + offset);
  firsts_.erase(firsts_.begin() + offset);
}

/// What is in `from` from `begin` on goes to the end of `to`.
void EntryIndex::move_keys(Block& from, std::size_t begin, Block& to) noexcept {
  std::copy(from.keys.data() + begin, from.keys.data() + from.used, to.keys.data() + to.used);
  std::copy(from.entries.data() + begin, from.entries.data() + from.used, to.entries.data() + to.used);
  to.used += from.used - begin;
  from.used = begin;
}

void EntryIndex::insert(Gpa begin, Entry& entry) noexcept {
  std::size_t number = block_of(begin);
  if (blocks_.empty()) add_block(0, begin);
  if (blocks_[number]->used == kKeys) {
    // Maps are often filled in ascending order: then the full block stays full.
    const bool appends = number + 1 == blocks_.size() && begin > blocks_[number]->keys.back();
    const std::size_t kept = appends ? kKeys : kKeys / 2;
    add_block(number + 1, appends ? begin : blocks_[number]->keys[kept]);
    move_keys(*blocks_[number], kept, *blocks_[number + 1]);
    number = block_of(begin);
  }
  Block& block = *blocks_[number];
  const std::size_t at = place_above(block, begin);
  std::copy_backward(block.keys.data() + at, block.keys.data() + block.used,
                     block.keys.data() + block.used + 1);
  std::copy_backward(block.entries.data() + at, block.entries.data() + block.used,
                     block.entries.data() + block.used + 1);
  block.keys[at] = begin;
  block.entries[at] = &entry;
  ++block.used;
  firsts_[number] = block.keys[0];
}

void EntryIndex::erase(Gpa begin) noexcept {
  const std::size_t number = block_of(begin);
  Block& block = *blocks_[number];
  const std::size_t after = place_above(block, begin);
  std::copy(block.keys.data() + after, block.keys.data() + block.used, block.keys.data() + after - 1);
  std::copy(block.entries.data() + after, block.entries.data() + block.used,
            block.entries.data() + after - 1);
  if (--block.used == 0) return remove_block(number);
  firsts_[number] = block.keys[0];
  if (number + 1 == blocks_.size() || block.used + blocks_[number + 1]->used > kKeys / 2) return;
  move_keys(*blocks_[number + 1], 0, block);
  remove_block(number + 1);
}

Entry* EntryIndex::at_or_before(Gpa address) const {
  if (blocks_.empty()) return nullptr;
  const Block& block = *blocks_[block_of(address)];
  const std::size_t above = place_above(block, address);
  return above == 0 ? nullptr : block.entries[above - 1];
}

std::size_t EntryIndex::metadata_bytes() const {
  const std::size_t blocks = blocks_.size() + (spare_ ? 1 : 0);
  return blocks * (sizeof(Block) + sizeof(Gpa) + sizeof(std::unique_ptr<Block>));
}

}  // namespace uvm
