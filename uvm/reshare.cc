// Space::reshare: the way back from a private page to the one it was copied from.
#include <array>
#include <cstddef>
#include <new>
#include <utility>

#include "uvm/locked_amap.h"
#include "uvm/space.h"

namespace uvm {
namespace {

/// Whether the page is private in place, and nobody else's.
bool is_in_place(const Entry& entry, Gpa page, Pmap& pmap) {
  if (!entry.has_layer() || entry.needs_copy) return false;
  const LockedAmap amap(entry);
  return !amap.find(entry.slot_of(page)) && !amap.is_shared(entry) && pmap.harvest_page(page);
}

}  // namespace

Result<Reshared> Space::reshare(Gpa address) try {
  const Gpa page = address.page_down();
  const GpaRange range = GpaRange::page_of(page);
  std::shared_ptr<Object> object;
  ObjectOffset offset;
  {
    const SharedLock lock(map_.lock());
    const Entry* entry = map_.find(page);
    if (entry == nullptr) return refuse(ErrorKind::NoMapping, "reshare", range, "nothing is mapped there");
    if (!is_in_place(*entry, page, pmap_)) return Reshared::Kept;
    object = entry->object;
    if (object) offset = entry->offset_of(page);
  }
  ObjectFrames below;
  if (object) {
    UVMM_TRY(below, object->get({offset, 1, AccessKind::Read}));
  }

  const ExclusiveLock lock(map_.lock());
  UVMM_CHECK(check_not_open(range, "reshare"));
  UVMM_CHECK(check_not_pinned(range, "reshare"));
  const Entry* entry = map_.find(page);
  const bool is_same = entry != nullptr && entry->object == object && is_in_place(*entry, page, pmap_) &&
                       (!object || entry->offset_of(page) == offset);
  if (!is_same) return Reshared::Kept;
  std::array<std::byte, kPageSize> bytes{};
  if (object) {
    if (object->hold({below.run.first, 1}, below.generation) == Freshness::Stale) return Reshared::Kept;
    auto read = pmap_.read_frame(below.run.first, 0, bytes);
    object->let_go({below.run.first, 1});
    UVMM_CHECK(std::move(read));
  }
  if (!pmap_.discard_equal(page, bytes)) return Reshared::Kept;
  reclaim_.remove(range);
  count(counters_.reshared);
  return Reshared::Dropped;
} catch (const std::bad_alloc&) {
  return out_of_memory("reshare", GpaRange::page_of(address));
}

}  // namespace uvm
