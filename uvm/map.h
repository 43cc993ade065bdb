// Map: the ordered entries of one space, their lock and their version (NetBSD vm_map).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "uvm/base/lock.h"
#include "uvm/base/range.h"
#include "uvm/entry.h"
#include "uvm/entry_index.h"

namespace uvm {

/// Keeps the reverse maps of objects and amaps true to the entries it holds. Faults hold the lock shared;
/// changes hold it exclusively and bump the version, by which a fault that slept in a pager knows that it has
/// to look again.
class Map {
 public:
  using Entries = std::map<Gpa, Entry>;  // by range.begin()

  /// `pins` (null: none) are what the map's space has pinned; they outlive the map.
  explicit Map(Pmap& pmap, const PinTable* pins = nullptr) : pmap_(pmap), pins_(pins) {}
  Map(const Map&) = delete;
  Map& operator=(const Map&) = delete;

  [[nodiscard]] SharedMutex& lock() const RETURN_CAPABILITY(lock_) { return lock_; }
  [[nodiscard]] std::uint64_t version() const REQUIRES_SHARED(lock_) { return version_; }

  /// The entry that holds `address`, or null. O(log n).
  [[nodiscard]] const Entry* find(Gpa address) const REQUIRES_SHARED(lock_);
  [[nodiscard]] Entry* find_for_change(Gpa address) REQUIRES(lock_);
  /// The first entry that ends above `address`, or null.
  [[nodiscard]] const Entry* first_from(Gpa address) const REQUIRES_SHARED(lock_);
  /// The first address of the range that no entry holds.
  [[nodiscard]] std::optional<Gpa> first_hole(GpaRange range) const REQUIRES_SHARED(lock_);

  /// Calls `visit(const Entry&)` for every entry that reaches into the range, ascending.
  template <class F>
  void each(GpaRange range, F&& visit) const REQUIRES_SHARED(lock_) {
    for (auto at = first_at(range.begin()); at != entries_.end() && at->first < range.end(); ++at) {
      visit(at->second);
    }
  }
  /// The same with `visit(Entry&)`, which may change attributes, not range, object or amap.
  template <class F>
  void each_for_change(GpaRange range, F&& visit) REQUIRES(lock_) {
    ++version_;
    for (auto at = first_at(range.begin()); at != entries_.end() && at->first < range.end(); ++at) {
      visit(at->second);
    }
  }

  /// What follows throws std::bad_alloc, and then has changed nothing that can be seen.
  ///
  /// Adds an entry where none is.
  void insert(Entry entry) REQUIRES(lock_);
  /// Adds an entry and takes out what was there, as take() does.
  [[nodiscard]] Entries replace(Entry entry) REQUIRES(lock_);
  /// Cuts entries so that none crosses an edge of the range.
  void clip(GpaRange range) REQUIRES(lock_);
  /// Takes out everything in the range, clipping at its edges. Objects and amaps no longer know the entries;
  /// the anons that nobody else shows are still in them, see free_anons().
  [[nodiscard]] Entries take(GpaRange range) REQUIRES(lock_);
  /// The same where no entry crosses an edge. Needs no memory.
  [[nodiscard]] Entries take_whole(GpaRange range) REQUIRES(lock_);
  /// Joins entries in and next to the range that could have been made as one. Needs no memory.
  void merge(GpaRange range) REQUIRES(lock_);
  /// Adds an entry to a map that nobody else knows yet, whose lock therefore need not be held.
  void insert_unpublished(Entry entry) NO_THREAD_SAFETY_ANALYSIS { insert(std::move(entry)); }
  /// Resolves needs_copy: the entry's amap is its own afterwards. Its translations may stay: they show the
  /// same pages without the right to write.
  void own_amap(Entry& entry) REQUIRES(lock_);
  /// Gives an entry another amap and slot.
  void set_amap(Entry& entry, std::shared_ptr<Amap> amap, std::uint64_t slot) REQUIRES(lock_);

  [[nodiscard]] std::size_t size() const REQUIRES_SHARED(lock_) { return entries_.size(); }
  [[nodiscard]] std::uint64_t metadata_bytes() const REQUIRES_SHARED(lock_);

 private:
  /// The first entry that ends above `address`.
  [[nodiscard]] Entries::const_iterator first_at(Gpa address) const REQUIRES_SHARED(lock_);
  [[nodiscard]] Entries::iterator first_at(Gpa address) REQUIRES(lock_);
  void clip_at(Gpa address) REQUIRES(lock_);
  /// Adds entries that were made beforehand; the index has room for them. Needs no memory.
  void link(Entries& made) REQUIRES(lock_);
  /// Lets take_whole() and free_anons() of a clipped range do without memory.
  void make_room_to_free(GpaRange range) REQUIRES(lock_);
  void register_amap_use(const Entry& entry);
  void register_uses(const Entry& entry);
  void forget_amap_use(const Entry& entry);
  void forget_uses(const Entry& entry);
  void split_uses(const Entry& entry, Gpa at);
  void join_uses(const Entry& low, const Entry& high);

  mutable SharedMutex lock_{LockRank::Map};
  Pmap& pmap_;
  const PinTable* const pins_;
  Entries entries_ GUARDED_BY(lock_);
  EntryIndex index_ GUARDED_BY(lock_);  // of entries_
  std::uint64_t version_ GUARDED_BY(lock_) = 0;
};

/// Frees the anons of an entry that was taken out, as far as no other mapping shows them. Call it when no
/// vCPU can reach them any more. What cannot be freed for want of memory goes with the amap.
void free_anons(const Entry& taken, Pmap& pmap);
/// Frees the anons of an amap that no mapping uses.
void clear(Amap& unused, Pmap& pmap);

}  // namespace uvm
