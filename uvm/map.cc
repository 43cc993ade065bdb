#include "uvm/map.h"

#include <iterator>
#include <new>
#include <set>
#include <utility>

#include "uvm/locked_amap.h"

namespace uvm {
namespace {

/// Whether two neighbours can be one entry again. What is in a share group has no private pages in place,
/// what is beside it may have some: were they one, the whole would be taken for shared, and those pages would
/// move under their pins, or be missing in a copy of the group.
bool may_join(const Entry& low, const Entry& high) {
  if (!low.merges_with(high)) return false;
  if (!low.amap || low.needs_copy) return true;
  const LockedAmap amap(low);
  return amap.is_shared(low) == amap.is_shared(high);
}

}  // namespace

Map::Entries::const_iterator Map::first_at(Gpa address) const {
  auto at = entries_.upper_bound(address);
  if (at != entries_.begin() && std::prev(at)->second.range.end() > address) --at;
  return at;
}

Map::Entries::iterator Map::first_at(Gpa address) {
  auto at = entries_.upper_bound(address);
  if (at != entries_.begin() && std::prev(at)->second.range.end() > address) --at;
  return at;
}

const Entry* Map::find(Gpa address) const {
  const Entry* entry = index_.at_or_before(address);
  return entry != nullptr && address < entry->range.end() ? entry : nullptr;
}

Entry* Map::find_for_change(Gpa address) {
  Entry* entry = index_.at_or_before(address);
  return entry != nullptr && address < entry->range.end() ? entry : nullptr;
}

const Entry* Map::first_from(Gpa address) const {
  const auto at = first_at(address);
  return at != entries_.end() ? &at->second : nullptr;
}

std::optional<Gpa> Map::first_hole(GpaRange range) const {
  Gpa reached = range.begin();
  for (auto at = first_at(reached); at != entries_.end() && at->first <= reached; ++at) {
    reached = at->second.range.end();
    if (reached >= range.end()) return std::nullopt;
  }
  return reached;
}

void Map::register_amap_use(const Entry& entry) {
  if (!entry.amap) return;
  const MutexLock lock(entry.amap->lock());
  Use use = entry.amap_use(pmap_);
  use.pins = pins_;
  entry.amap->uses().add(use);
}

void Map::register_uses(const Entry& entry) {
  if (entry.object) entry.object->add_use(entry.object_use(pmap_));
  try {
    register_amap_use(entry);
  } catch (const std::bad_alloc&) {
    if (entry.object) entry.object->remove_use(entry.object_use(pmap_));
    throw;
  }
}

void Map::forget_amap_use(const Entry& entry) {
  if (!entry.amap) return;
  const MutexLock lock(entry.amap->lock());
  entry.amap->uses().remove(entry.amap_use(pmap_));
}

void Map::forget_uses(const Entry& entry) {
  if (entry.object) entry.object->remove_use(entry.object_use(pmap_));
  forget_amap_use(entry);
}

void Map::split_uses(const Entry& entry, Gpa at) {
  if (entry.object) entry.object->split_use(entry.object_use(pmap_), at);
  if (!entry.amap) return;
  try {
    const MutexLock lock(entry.amap->lock());
    entry.amap->uses().split(entry.amap_use(pmap_), at);
  } catch (const std::bad_alloc&) {
    if (entry.object) {
      entry.object->join_uses(entry.clipped(entry.range.before(at)).object_use(pmap_),
                              entry.clipped(entry.range.from(at)).object_use(pmap_));
    }
    throw;
  }
}

void Map::join_uses(const Entry& low, const Entry& high) {
  if (low.object) low.object->join_uses(low.object_use(pmap_), high.object_use(pmap_));
  if (!low.amap) return;
  const MutexLock lock(low.amap->lock());
  low.amap->uses().join(low.amap_use(pmap_), high.amap_use(pmap_));
}

void Map::link(Entries& made) {
  for (auto& [begin, entry] : made) index_.insert(begin, entry);
  entries_.merge(made);
}

void Map::insert(Entry entry) {
  ++version_;
  Entries made;
  const Gpa begin = entry.range.begin();
  const Entry& added = made.emplace(begin, std::move(entry)).first->second;
  index_.make_room();
  register_uses(added);
  link(made);
}

void Map::clip_at(Gpa address) {
  const auto at = first_at(address);
  if (at == entries_.end() || at->first >= address) return;
  Entry& low = at->second;
  Entries high;
  high.emplace(address, low.clipped(low.range.from(address)));
  index_.make_room();
  split_uses(low, address);
  low.range = low.range.before(address);
  link(high);
}

void Map::clip(GpaRange range) {
  ++version_;
  clip_at(range.begin());
  try {
    clip_at(range.end());
  } catch (const std::bad_alloc&) {
    merge(range);
    throw;
  }
}

void Map::make_room_to_free(GpaRange range) {
  for (auto at = first_at(range.begin()); at != entries_.end() && at->first < range.end(); ++at) {
    const Entry& entry = at->second;
    if (!entry.amap) continue;
    const MutexLock lock(entry.amap->lock());
    entry.amap->make_room_to_drop(entry.slots(), pmap_);
  }
}

Map::Entries Map::take(GpaRange range) {
  clip(range);
  try {
    make_room_to_free(range);
  } catch (const std::bad_alloc&) {
    merge(range);
    throw;
  }
  return take_whole(range);
}

Map::Entries Map::take_whole(GpaRange range) {
  ++version_;
  Entries taken;
  auto at = entries_.lower_bound(range.begin());
  while (at != entries_.end() && at->first < range.end()) {
    forget_uses(at->second);
    index_.erase(at->first);
    taken.insert(taken.end(), entries_.extract(at++));
  }
  return taken;
}

Map::Entries Map::replace(Entry entry) {
  const GpaRange range = entry.range;
  Entries fresh;
  const Entry& added = fresh.emplace(range.begin(), std::move(entry)).first->second;
  clip(range);
  try {
    make_room_to_free(range);
    index_.make_room();
    register_uses(added);
  } catch (const std::bad_alloc&) {
    merge(range);
    throw;
  }
  Entries taken = take_whole(range);
  link(fresh);
  return taken;
}

void Map::merge(GpaRange range) {
  ++version_;
  auto at = first_at(range.begin());
  if (at != entries_.begin()) --at;
  while (at != entries_.end() && at->first <= range.end()) {
    const auto next = std::next(at);
    if (next == entries_.end() || !may_join(at->second, next->second)) {
      at = next;
      continue;
    }
    Entry& low = at->second;
    join_uses(low, next->second);
    low.range = *GpaRange::from_bounds(low.range.begin(), next->second.range.end());
    index_.erase(next->first);
    entries_.erase(next);
  }
}

void Map::set_amap(Entry& entry, std::shared_ptr<Amap> amap, std::uint64_t slot) {
  ++version_;
  Entry changed = entry;
  changed.amap = std::move(amap);
  changed.slot = slot;
  register_amap_use(changed);
  forget_amap_use(entry);
  entry = std::move(changed);
}

void Map::own_amap(Entry& entry) {
  if (!entry.needs_copy) return;
  const Entry before = entry;
  std::shared_ptr<Amap> own;
  {
    const MutexLock lock(before.amap->lock());
    if (before.amap->uses().is_shared_in(before.amap_window())) {
      own = before.amap->copy(before.slots(), pmap_);
    }
  }
  if (own) {
    try {
      set_amap(entry, own, before.slot);
    } catch (const std::bad_alloc&) {
      clear(*own, pmap_);
      throw;
    }
    free_anons(before, pmap_);
  }
  ++version_;
  entry.needs_copy = false;
}

std::uint64_t Map::metadata_bytes() const {
  std::uint64_t bytes = sizeof(Map) + index_.metadata_bytes();
  std::set<const Amap*> seen;
  for (const auto& [begin, entry] : entries_) {
    // A tree node's header is four words; a use in each reverse map is a node of its own.
    bytes += sizeof(Entries::value_type) + 4 * sizeof(void*) + entry.name->capacity();
    if (entry.object) bytes += sizeof(Use) + 4 * sizeof(void*);
    if (!entry.amap || !seen.insert(entry.amap.get()).second) continue;
    const MutexLock lock(entry.amap->lock());
    bytes += entry.amap->metadata_bytes();
  }
  return bytes;
}

void clear(Amap& unused, Pmap& pmap) {
  const MutexLock lock(unused.lock());
  unused.drop_range(kAllSlots, pmap);
}

void free_anons(const Entry& taken, Pmap& pmap) {
  if (!taken.amap) return;
  const MutexLock lock(taken.amap->lock());
  if (taken.amap->uses().empty()) return taken.amap->drop_range(kAllSlots, pmap);
  try {
    ObjectRange left = taken.amap_window();
    for (ObjectRange hole; !left.empty(); left = left.from(hole.end())) {
      hole = taken.amap->uses().first_uncovered(left);
      if (hole.empty()) return;
      taken.amap->drop_range({hole.begin().page(), hole.end().page()}, pmap);
    }
  } catch (const std::bad_alloc&) {
    return;  // the last mapping of the amap frees all
  }
}

}  // namespace uvm
