// Amap: the copy-on-write layer over an object, a sparse array of anons (NetBSD uvm_amap.h).
//
// Slots are numbered in pages from the start of the amap; a slot without an anon shows the object below (or
// zeros, or a private page in place, which only the pmap knows). Slots come in chunks, made when one of their
// slots is first filled: nothing is paid for what nobody touched. A copy shares the chunks and counts them;
// the first change of a shared chunk makes it the amap's own. So a copy is O(chunks), and "may I write this
// anon in place" asks for two counts: the chunk's and the anon's, which is seldom kept (extra_holders.h). A
// slot is one word, its anon's frame, so a private page costs 8 bytes here.
//
// An amap knows the mappings that use it (rule D4). They are either one share group, where each sees what the
// others write, or all of them still have needs_copy and the slots do not change; fork sees to that. A
// mapping with needs_copy is therefore never looked at when it comes to invalidation.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "uvm/anon.h"
#include "uvm/base/lock.h"
#include "uvm/reverse_map.h"

namespace uvm {

/// Twice as many as a table has entries: what a chunk costs besides its words is spread over more.
inline constexpr std::uint64_t kSlotsPerChunk = 1024;

/// Half-open, in slots.
struct SlotRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

inline constexpr SlotRange kAllSlots{0, ~std::uint64_t{0}};

/// Held by shared_ptr from the entries that use it. The last one has to clear() it: anons go back through a
/// pmap, and a destructor has none.
class Amap {
 public:
  Amap() = default;
  ~Amap();
  Amap(const Amap&) = delete;
  Amap& operator=(const Amap&) = delete;

  /// Held across look at a slot, decision and change; rank Amap.
  [[nodiscard]] Mutex& lock() RETURN_CAPABILITY(lock_) { return lock_; }

  [[nodiscard]] std::optional<Anon> find(std::uint64_t slot) const REQUIRES(lock_);
  /// Whether the anon in `slot` is held by this amap's slot alone.
  [[nodiscard]] bool is_mine_alone(std::uint64_t slot) const REQUIRES(lock_);
  /// For listings: how many others hold it, at least; 0 exactly when is_mine_alone(), or nothing is there.
  [[nodiscard]] std::uint64_t others(std::uint64_t slot) const REQUIRES(lock_);
  /// Room for put() and drop(): neither needs memory for this slot as long as the lock is held.
  void make_room(std::uint64_t slot, Pmap& pmap) REQUIRES(lock_);
  /// Room for drop_range(), as long as nobody copies the amap.
  void make_room_to_drop(SlotRange range, Pmap& pmap) REQUIRES(lock_);
  /// Puts an anon into a slot, with the caller's hold on it; what was there is let go through `pmap`.
  void put(std::uint64_t slot, Anon anon, Pmap& pmap) REQUIRES(lock_);
  /// Empties a slot; true when something was there.
  bool drop(std::uint64_t slot, Pmap& pmap) REQUIRES(lock_);
  /// Empties all slots of a range, kAllSlots without needing memory.
  void drop_range(SlotRange range, Pmap& pmap) REQUIRES(lock_);

  /// The first used slot in the range; the last used slot in it.
  [[nodiscard]] std::optional<std::uint64_t> first_used(SlotRange range) const REQUIRES(lock_);
  [[nodiscard]] std::optional<std::uint64_t> last_used(SlotRange range) const REQUIRES(lock_);
  [[nodiscard]] std::uint64_t used(SlotRange range) const REQUIRES(lock_);

  /// A new amap with the same anons in the same slots, of the range only.
  [[nodiscard]] std::shared_ptr<Amap> copy(SlotRange range, Pmap& pmap) const REQUIRES(lock_);

  /// The same, without what is in the slots of `left_out`.
  [[nodiscard]] std::shared_ptr<Amap> copy_without(SlotRange range, const std::vector<SlotRange>& left_out,
                                                   Pmap& pmap) const REQUIRES(lock_);

  [[nodiscard]] ReverseMap& uses() REQUIRES(lock_) { return uses_; }

  /// A slot is busy from the moment its old page is taken away from everybody who shares it until the new one
  /// is in it; in between, all of them are flushed without a lock, and nobody may enter either page.
  [[nodiscard]] bool is_busy(std::uint64_t slot) const REQUIRES(lock_) { return busy_.count(slot) != 0; }
  void set_busy(std::uint64_t slot) REQUIRES(lock_) { busy_.insert(slot); }
  /// Undoes one set_busy().
  void clear_busy(std::uint64_t slot) EXCLUDES(lock_);
  /// Sleeps until the slot, or every slot, is free. Call it without locks. A space that stops using the amap
  /// waits for all, because somebody may be flushing its pmap.
  void wait_for(std::uint64_t slot) EXCLUDES(lock_);
  void wait_for_all() EXCLUDES(lock_);

  /// Bytes of host memory for the slots; a chunk that n amaps share counts in each, and what counts holders
  /// of an anon in none: it is the store's.
  [[nodiscard]] std::uint64_t metadata_bytes() const REQUIRES(lock_);

 private:
  class Chunk;
  using Chunks = std::map<std::uint64_t, Chunk*>;

  static void unshare(Chunk*& chunk, Pmap& pmap);
  static void release_chunk(Chunk* chunk, Pmap& pmap);
  /// For a new amap: takes part in the chunks of another one.
  void adopt(const Chunks& chunks, SlotRange range, Pmap& pmap) NO_THREAD_SAFETY_ANALYSIS;

  mutable Mutex lock_{LockRank::Amap};
  Chunks chunks_ GUARDED_BY(lock_);  // by slot / kSlotsPerChunk
  ReverseMap uses_ GUARDED_BY(lock_);
  std::multiset<std::uint64_t> busy_ GUARDED_BY(lock_);  // the whole amap can be so for several reasons
  std::condition_variable_any freed_;
};

/// A "slot" that stands for the whole amap: no page has it.
inline constexpr std::uint64_t kWholeAmap = ~std::uint64_t{0};

}  // namespace uvm
