#include "uvm/map.h"

#include <iterator>
#include <set>
#include <utility>

namespace uvm {

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
  const auto at = first_at(address);
  return at != entries_.end() && at->first <= address ? &at->second : nullptr;
}

Entry* Map::find_for_change(Gpa address) {
  const auto at = first_at(address);
  return at != entries_.end() && at->first <= address ? &at->second : nullptr;
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

void Map::register_uses(const Entry& entry) {
  if (entry.object) entry.object->add_use(entry.object_use(pmap_));
  if (entry.amap) {
    const MutexLock lock(entry.amap->lock());
    Use use = entry.amap_use(pmap_);
    use.pins = pins_;
    entry.amap->uses().add(use);
  }
}

void Map::forget_uses(const Entry& entry) {
  if (entry.object) entry.object->remove_use(entry.object_use(pmap_));
  if (entry.amap) {
    const MutexLock lock(entry.amap->lock());
    entry.amap->uses().remove(entry.amap_use(pmap_));
  }
}

void Map::insert(Entry entry) {
  ++version_;
  register_uses(entry);
  const Gpa begin = entry.range.begin();
  entries_.emplace(begin, std::move(entry));
}

void Map::clip_at(Gpa address) {
  const auto at = first_at(address);
  if (at == entries_.end() || at->first >= address) return;
  Entry& low = at->second;
  const Entry high = low.clipped(low.range.from(address));
  // The amap keeps at least one use throughout, so nothing looks unused in between.
  register_uses(high);
  forget_uses(low);
  low.range = low.range.before(address);
  register_uses(low);
  entries_.emplace_hint(std::next(at), address, high);
}

void Map::clip(GpaRange range) {
  ++version_;
  clip_at(range.begin());
  clip_at(range.end());
}

std::vector<Entry> Map::take(GpaRange range) {
  clip(range);
  std::vector<Entry> taken;
  auto at = entries_.lower_bound(range.begin());
  while (at != entries_.end() && at->first < range.end()) {
    forget_uses(at->second);
    taken.push_back(std::move(at->second));
    at = entries_.erase(at);
  }
  return taken;
}

void Map::merge(GpaRange range) {
  ++version_;
  auto at = first_at(range.begin());
  if (at != entries_.begin()) --at;
  while (at != entries_.end() && at->first <= range.end()) {
    const auto next = std::next(at);
    if (next == entries_.end() || !at->second.merges_with(next->second)) {
      at = next;
      continue;
    }
    Entry& low = at->second;
    forget_uses(low);
    forget_uses(next->second);
    low.range = *GpaRange::from_bounds(low.range.begin(), next->second.range.end());
    register_uses(low);
    entries_.erase(next);
  }
}

void Map::set_amap(Entry& entry, std::shared_ptr<Amap> amap, std::uint64_t slot) {
  ++version_;
  forget_uses(entry);
  entry.amap = std::move(amap);
  entry.slot = slot;
  register_uses(entry);
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
    set_amap(entry, std::move(own), before.slot);
    free_anons(before, pmap_);
  }
  ++version_;
  entry.needs_copy = false;
}

std::uint64_t Map::metadata_bytes() const {
  std::uint64_t bytes = sizeof(Map);
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

void free_anons(const Entry& taken, Pmap& pmap) {
  if (!taken.amap) return;
  const MutexLock lock(taken.amap->lock());
  for (const ObjectRange& hole : taken.amap->uses().uncovered(taken.amap_use(pmap).window())) {
    taken.amap->drop_range({hole.begin().page(), hole.end().page()}, pmap);
  }
}

}  // namespace uvm
