#include "uvm/amap.h"

#include <algorithm>
#include <cassert>

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

}  // namespace

Amap::~Amap() {
  assert(chunks_.empty() && "an amap ends without its anons");
}

Anon* Amap::find(std::uint64_t slot) const {
  const auto at = chunks_.find(slot / kSlotsPerChunk);
  return at == chunks_.end() ? nullptr : at->second->anons[index_in_chunk(slot)];
}

bool Amap::is_mine_alone(std::uint64_t slot) const {
  const auto at = chunks_.find(slot / kSlotsPerChunk);
  if (at == chunks_.end()) return false;
  const Anon* anon = at->second->anons[index_in_chunk(slot)];
  return anon != nullptr && at->second->references.load(std::memory_order_acquire) == 1 &&
         anon->is_mine_alone();
}

/// Replaces a chunk that other amaps hold by one of our own with the same anons.
void Amap::unshare(Chunk*& chunk, Pmap& pmap) {
  if (chunk->references.load(std::memory_order_acquire) == 1) return;
  auto* own = new Chunk;
  own->anons = chunk->anons;
  own->used = chunk->used;
  for (Anon* anon : own->anons) {
    if (anon != nullptr) anon->reference();
  }
  release_chunk(chunk, pmap);
  chunk = own;
}

void Amap::release_chunk(Chunk* chunk, Pmap& pmap) {
  if (chunk->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  for (Anon* anon : chunk->anons) {
    if (anon != nullptr) anon->release(pmap);
  }
  delete chunk;
}

void Amap::make_room(std::uint64_t slot, Pmap& pmap) {
  const std::uint64_t key = slot / kSlotsPerChunk;
  if (const auto at = chunks_.find(key); at != chunks_.end()) return unshare(at->second, pmap);
  auto chunk = std::make_unique<Chunk>();
  chunks_.emplace(key, chunk.get());
  chunk.release();  // NOLINT(bugprone-unused-return-value): the map has it
}

void Amap::make_room_to_drop(SlotRange range, Pmap& pmap) {
  each_part(chunks_, range, [&](auto at, std::uint64_t /*base*/, std::size_t first, std::size_t end) {
    if (first != 0 || end != kSlotsPerChunk) unshare(at->second, pmap);
    return true;
  });
}

void Amap::put(std::uint64_t slot, Anon* anon, Pmap& pmap) {
  make_room(slot, pmap);
  Chunk* const chunk = chunks_.find(slot / kSlotsPerChunk)->second;
  Anon*& place = chunk->anons[index_in_chunk(slot)];
  if (place != nullptr) {
    place->release(pmap);
  } else {
    ++chunk->used;
  }
  place = anon;
}

bool Amap::drop(std::uint64_t slot, Pmap& pmap) {
  const auto at = chunks_.find(slot / kSlotsPerChunk);
  if (at == chunks_.end() || at->second->anons[index_in_chunk(slot)] == nullptr) return false;
  unshare(at->second, pmap);
  Anon*& place = at->second->anons[index_in_chunk(slot)];
  place->release(pmap);
  place = nullptr;
  if (--at->second->used == 0) {
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
                const bool last_of_chunk = at->second->used == 1 && at->second->anons[i] != nullptr;
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
      if (at->second->anons[i] != nullptr) found = base + i;
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
      if (at->second->anons[index_in_chunk(slot)] != nullptr) return slot;
    }
  }
  return std::nullopt;
}

std::uint64_t Amap::used(SlotRange range) const {
  std::uint64_t total = 0;
  each_part(chunks_, range, [&](auto at, std::uint64_t /*base*/, std::size_t first, std::size_t end) {
    if (first == 0 && end == kSlotsPerChunk) {
      total += at->second->used;
      return true;
    }
    for (std::size_t i = first; i < end; ++i) total += at->second->anons[i] != nullptr ? 1U : 0U;
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
      twin->adopt(chunks_, range);
      for (const SlotRange& part : left_out) twin->drop_range(part, pmap);
    } catch (const std::bad_alloc&) {
      twin->drop_range(kAllSlots, pmap);
      throw;
    }
  };
  fill();
  return twin;
}

void Amap::adopt(const Chunks& chunks, SlotRange range) {
  // Nobody else knows this amap yet, so its lock need not be held.
  each_part(chunks, range,
            [&](auto at, std::uint64_t /*base*/, std::size_t first, std::size_t end)
                NO_THREAD_SAFETY_ANALYSIS {
                  if (first == 0 && end == kSlotsPerChunk) {
                    chunks_.emplace(at->first, at->second);
                    at->second->references.fetch_add(1, std::memory_order_relaxed);
                  } else {
                    adopt_part(at->first, *at->second, first, end);
                  }
                  return true;
                });
}

void Amap::adopt_part(std::uint64_t key, const Chunk& chunk, std::size_t first, std::size_t end) {
  auto own = std::make_unique<Chunk>();
  std::copy(&chunk.anons[first], &chunk.anons[first] + (end - first), &own->anons[first]);
  own->used = static_cast<std::uint32_t>(
      std::count_if(own->anons.begin(), own->anons.end(), [](const Anon* anon) { return anon != nullptr; }));
  if (own->used == 0) return;
  chunks_.emplace(key, own.get());
  for (Anon* anon : own.release()->anons) {
    if (anon != nullptr) anon->reference();
  }
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
    bytes += sizeof(Chunk) + sizeof(Chunks::value_type) + 4 * sizeof(void*) + chunk->used * sizeof(Anon);
  }
  return bytes;
}

}  // namespace uvm
