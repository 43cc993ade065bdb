#include "uvm/amap.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <new>

namespace uvm {
namespace {

std::size_t index_in_chunk(std::uint64_t slot) {
  return static_cast<std::size_t>(slot % kSlotsPerChunk);
}

/// Calls `visit(key, first, last + 1)` with the part of `range` that lies in each chunk of `chunks`; stops
/// when visit returns false.
template <class Chunks, class F>
void each_part(Chunks& chunks, SlotRange range, F&& visit) {
  auto at = chunks.lower_bound(range.begin / kSlotsPerChunk);
  while (at != chunks.end() && at->first * kSlotsPerChunk < range.end) {
    const std::uint64_t base = at->first * kSlotsPerChunk;
    const auto first = static_cast<std::size_t>(std::max(range.begin, base) - base);
    const auto end = static_cast<std::size_t>(std::min(range.end - base, kSlotsPerChunk));
    const auto current = at++;  // visit may erase it
    if (!visit(current, base, first, end)) return;
  }
}

/// Of a store's number, from 1 on, and an index. The index is a page number of a space or of a store.
constexpr int kIndexBits = 48;
constexpr std::uint64_t kIndexMask = (std::uint64_t{1} << kIndexBits) - 1;

}  // namespace

/// Anons by slot, each a word: which of the chunk's stores, and which frame of it. A chunk that several amaps
/// hold does not change.
class Amap::Chunk {
 public:
  std::atomic<std::uint32_t> references{1};

  [[nodiscard]] std::uint32_t used() const { return used_; }
  [[nodiscard]] bool has(std::size_t i) const { return words_[i] != 0; }
  [[nodiscard]] std::optional<Anon> anon(std::size_t i) const {
    const std::uint64_t word = words_[i];
    if (word == 0) return std::nullopt;
    return Anon({stores_[static_cast<std::size_t>(word >> kIndexBits) - 1], word & kIndexMask});
  }
  /// Memory for the store of the next set().
  void make_room() {
    if (stores_.size() < stores_.capacity()) return;
    forget_unused_stores();
    if (std::find(stores_.begin(), stores_.end(), nullptr) == stores_.end()) {
      stores_.reserve(2 * stores_.size() + 2);
    }
  }
  /// After make_room(). Lets go of nothing.
  void set(std::size_t i, Anon anon) {
    assert(anon.frame().index <= kIndexMask);
    if (!has(i)) ++used_;
    words_[i] = number_of(anon.frame().store) << kIndexBits | anon.frame().index;
  }
  void clear(std::size_t i) {
    if (has(i)) --used_;
    words_[i] = 0;
  }
  /// Lets go of some anons, which are in the words still.
  void release(std::size_t first, std::size_t end, Pmap& pmap) const {
    for (std::size_t i = first; i < end; ++i) {
      if (has(i)) anon(i)->release(pmap);
    }
  }
  /// Some of the anons in a chunk of their own, which holds them too.
  [[nodiscard]] std::unique_ptr<Chunk> copy(std::size_t first, std::size_t end, Pmap& pmap) const {
    auto own = std::make_unique<Chunk>();
    own->stores_ = stores_;
    for (std::size_t i = first; i < end; ++i) {
      if (!has(i)) continue;
      try {
        anon(i)->reference();
      } catch (const std::bad_alloc&) {
        own->release(first, i, pmap);
        throw;
      }
      own->words_[i] = words_[i];
      ++own->used_;
    }
    return own;
  }
  [[nodiscard]] std::uint64_t bytes() const {
    return sizeof(Chunk) + stores_.capacity() * sizeof(FrameStore*);
  }

 private:
  [[nodiscard]] std::uint64_t number_of(FrameStore* store) {
    auto at = std::find(stores_.begin(), stores_.end(), store);
    if (at == stores_.end()) {
      at = std::find(stores_.begin(), stores_.end(), nullptr);
      if (at == stores_.end()) at = stores_.insert(at, store);
      *at = store;
    }
    return static_cast<std::uint64_t>(at - stores_.begin()) + 1;
  }
  /// What no slot names may be gone.
  void forget_unused_stores() {
    std::vector<bool> named(stores_.size());
    for (const std::uint64_t word : words_) {
      if (word != 0) named[static_cast<std::size_t>(word >> kIndexBits) - 1] = true;
    }
    for (std::size_t i = 0; i < named.size(); ++i) {
      if (!named[i]) stores_[i] = nullptr;
    }
  }

  std::uint32_t used_ = 0;
  std::array<std::uint64_t, kSlotsPerChunk> words_{};
  std::vector<FrameStore*> stores_;  // null: a number that is free
};

Amap::~Amap() {
  assert(chunks_.empty() && "an amap ends without its anons");
}

std::optional<Anon> Amap::find(std::uint64_t slot) const {
  const auto at = chunks_.find(slot / kSlotsPerChunk);
  return at == chunks_.end() ? std::nullopt : at->second->anon(index_in_chunk(slot));
}

bool Amap::is_mine_alone(std::uint64_t slot) const {
  const auto at = chunks_.find(slot / kSlotsPerChunk);
  if (at == chunks_.end()) return false;
  const auto anon = at->second->anon(index_in_chunk(slot));
  return anon && at->second->references.load(std::memory_order_acquire) == 1 && anon->is_mine_alone();
}

std::uint64_t Amap::others(std::uint64_t slot) const {
  const auto at = chunks_.find(slot / kSlotsPerChunk);
  if (at == chunks_.end()) return 0;
  const auto anon = at->second->anon(index_in_chunk(slot));
  if (!anon) return 0;
  return at->second->references.load(std::memory_order_acquire) - 1 + anon->others();
}

/// Replaces a chunk that other amaps hold by one of our own with the same anons.
void Amap::unshare(Chunk*& chunk, Pmap& pmap) {
  if (chunk->references.load(std::memory_order_acquire) == 1) return;
  auto own = chunk->copy(0, kSlotsPerChunk, pmap);
  release_chunk(chunk, pmap);
  chunk = own.release();
}

void Amap::release_chunk(Chunk* chunk, Pmap& pmap) {
  if (chunk->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  chunk->release(0, kSlotsPerChunk, pmap);
  delete chunk;
}

void Amap::make_room(std::uint64_t slot, Pmap& pmap) {
  const std::uint64_t key = slot / kSlotsPerChunk;
  if (const auto at = chunks_.find(key); at != chunks_.end()) {
    unshare(at->second, pmap);
    return at->second->make_room();
  }
  auto chunk = std::make_unique<Chunk>();
  chunk->make_room();
  chunks_.emplace(key, chunk.get());
  chunk.release();  // NOLINT(bugprone-unused-return-value): the map has it
}

void Amap::make_room_to_drop(SlotRange range, Pmap& pmap) {
  each_part(chunks_, range, [&](auto at, std::uint64_t /*base*/, std::size_t first, std::size_t end) {
    if (first != 0 || end != kSlotsPerChunk) unshare(at->second, pmap);
    return true;
  });
}

void Amap::put(std::uint64_t slot, Anon anon, Pmap& pmap) {
  make_room(slot, pmap);
  Chunk& chunk = *chunks_.find(slot / kSlotsPerChunk)->second;
  if (const auto old = chunk.anon(index_in_chunk(slot))) old->release(pmap);
  chunk.set(index_in_chunk(slot), anon);
}

bool Amap::drop(std::uint64_t slot, Pmap& pmap) {
  const auto at = chunks_.find(slot / kSlotsPerChunk);
  if (at == chunks_.end() || !at->second->has(index_in_chunk(slot))) return false;
  unshare(at->second, pmap);
  at->second->anon(index_in_chunk(slot))->release(pmap);
  at->second->clear(index_in_chunk(slot));
  if (at->second->used() == 0) {
    release_chunk(at->second, pmap);
    chunks_.erase(at);
  }
  return true;
}

void Amap::drop_range(SlotRange range, Pmap& pmap) {
  // The analysis does not carry the held lock into the closure.
  each_part(chunks_, range,
            [&](auto at, std::uint64_t base, std::size_t first, std::size_t end) NO_THREAD_SAFETY_ANALYSIS {
              if (first == 0 && end == kSlotsPerChunk) {
                release_chunk(at->second, pmap);
                chunks_.erase(at);
                return true;
              }
              for (std::size_t i = first; i < end; ++i) {
                const bool last_of_chunk = at->second->used() == 1 && at->second->has(i);
                drop(base + i, pmap);
                if (last_of_chunk) break;
              }
              return true;
            });
}

std::optional<std::uint64_t> Amap::first_used(SlotRange range) const {
  std::optional<std::uint64_t> found;
  each_part(chunks_, range, [&](auto at, std::uint64_t base, std::size_t first, std::size_t end) {
    for (std::size_t i = first; i < end && !found; ++i) {
      if (at->second->has(i)) found = base + i;
    }
    return !found;
  });
  return found;
}

std::optional<std::uint64_t> Amap::last_used(SlotRange range) const {
  auto at = chunks_.lower_bound((range.end + kSlotsPerChunk - 1) / kSlotsPerChunk);
  while (at != chunks_.begin()) {
    --at;
    const std::uint64_t base = at->first * kSlotsPerChunk;
    if (base + kSlotsPerChunk <= range.begin) break;
    for (std::uint64_t slot = std::min(range.end, base + kSlotsPerChunk);
         slot > std::max(range.begin, base);) {
      --slot;
      if (at->second->has(index_in_chunk(slot))) return slot;
    }
  }
  return std::nullopt;
}

std::uint64_t Amap::used(SlotRange range) const {
  std::uint64_t total = 0;
  each_part(chunks_, range, [&](auto at, std::uint64_t /*base*/, std::size_t first, std::size_t end) {
    if (first == 0 && end == kSlotsPerChunk) {
      total += at->second->used();
      return true;
    }
    for (std::size_t i = first; i < end; ++i) total += at->second->has(i) ? 1U : 0U;
    return true;
  });
  return total;
}

std::shared_ptr<Amap> Amap::copy(SlotRange range, Pmap& pmap) const {
  return copy_without(range, {}, pmap);
}

std::shared_ptr<Amap> Amap::copy_without(SlotRange range, const std::vector<SlotRange>& left_out,
                                         Pmap& pmap) const {
  auto twin = std::make_shared<Amap>();
  // Nobody else knows the twin yet, so its lock need not be held.
  const auto fill = [&]() NO_THREAD_SAFETY_ANALYSIS {
    try {
      twin->adopt(chunks_, range, pmap);
      for (const SlotRange& part : left_out) twin->drop_range(part, pmap);
    } catch (const std::bad_alloc&) {
      twin->drop_range(kAllSlots, pmap);
      throw;
    }
  };
  fill();
  return twin;
}

void Amap::adopt(const Chunks& chunks, SlotRange range, Pmap& pmap) {
  each_part(chunks, range,
            [&](auto at, std::uint64_t /*base*/, std::size_t first, std::size_t end)
                NO_THREAD_SAFETY_ANALYSIS {
                  if (first == 0 && end == kSlotsPerChunk) {
                    chunks_.emplace(at->first, at->second);
                    at->second->references.fetch_add(1, std::memory_order_relaxed);
                    return true;
                  }
                  const auto place = chunks_.emplace(at->first, nullptr).first;
                  std::unique_ptr<Chunk> part;
                  try {
                    part = at->second->copy(first, end, pmap);
                  } catch (const std::bad_alloc&) {
                    chunks_.erase(place);
                    throw;
                  }
                  if (part->used() == 0) {
                    chunks_.erase(place);
                  } else {
                    place->second = part.release();
                  }
                  return true;
                });
}

void Amap::clear_busy(std::uint64_t slot) {
  const MutexLock lock(lock_);
  if (const auto one = busy_.find(slot); one != busy_.end()) busy_.erase(one);
  freed_.notify_all();
}

void Amap::wait_for(std::uint64_t slot) {
  const MutexLock lock(lock_);
  while (busy_.count(slot) != 0) freed_.wait(lock_);
}

void Amap::wait_for_all() {
  const MutexLock lock(lock_);
  while (!busy_.empty()) freed_.wait(lock_);
}

std::uint64_t Amap::metadata_bytes() const {
  std::uint64_t bytes = sizeof(Amap);
  for (const auto& [key, chunk] : chunks_) {
    bytes += chunk->bytes() + sizeof(Chunks::value_type) + 4 * sizeof(void*);
  }
  return bytes;
}

}  // namespace uvm
