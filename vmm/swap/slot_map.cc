#include "vmm/swap/slot_map.h"

#include <algorithm>
#include <bit>

#include "uvm/base/bit_words.h"

namespace vmm {

using uvm::kWordBits;

SlotMap::SlotMap(std::uint64_t slots) : size_(slots), words_(uvm::words_for(slots)) {}

std::uint64_t SlotMap::find(std::uint64_t from, std::uint64_t end, bool wanted) const {
  while (from < end) {
    const std::uint64_t word = wanted ? words_[from / kWordBits] : ~words_[from / kWordBits];
    const std::uint64_t ahead = word >> (from % kWordBits);
    if (ahead != 0) return std::min(end, from + static_cast<std::uint64_t>(std::countr_zero(ahead)));
    from = (from / kWordBits + 1) * kWordBits;
  }
  return end;
}

std::optional<std::uint64_t> SlotMap::search(std::uint64_t begin, std::uint64_t end,
                                             std::uint64_t count) const {
  while (begin < end) {
    const std::uint64_t first = find(begin, end, false);
    if (end - first < count) return std::nullopt;
    const std::uint64_t stop = find(first, first + count, true);
    if (stop == first + count) return first;
    begin = stop;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> SlotMap::take(std::uint64_t count) {
  if (count > size_ - used_) return std::nullopt;
  auto first = search(next_, size_, count);
  // A run may begin before next_ and reach past it.
  if (!first) first = search(0, std::min(size_, next_ + count), count);
  if (!first) return std::nullopt;
  set(*first, count, true);
  used_ += count;
  next_ = *first + count;
  return first;
}

void SlotMap::free(std::uint64_t first, std::uint64_t count) {
  set(first, count, false);
  used_ -= count;
}

bool SlotMap::taken(std::uint64_t first, std::uint64_t count) const {
  if (first > size_ || count > size_ - first) return false;
  return find(first, first + count, false) == first + count;
}

void SlotMap::set(std::uint64_t first, std::uint64_t count, bool value) {
  uvm::each_bit_word(first, first + count, [&](std::size_t word, std::uint64_t mask) {
    words_[word] = value ? words_[word] | mask : words_[word] & ~mask;
    return true;
  });
}

}  // namespace vmm
