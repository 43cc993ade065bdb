// A space under a memory limit: what the limit refuses, and how it begins.
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "uvm/locked_amap.h"
#include "uvm/reclaim.h"
#include "uvm/space.h"

namespace uvm {
namespace {

/// A device has no pages that could count.
bool writes_reach_object(const std::shared_ptr<Object>& object, Sharing sharing, Protection most) {
  return object != nullptr && object->tenure() != Tenure::None && sharing == Sharing::Shared &&
         includes(most, Protection::Write);
}

/// Calls `visit(address, anon)` for every anon that the entry shows. Its amap is locked.
template <class F>
void each_anon(const Entry& entry, const LockedAmap& amap, F&& visit) {
  SlotRange left = entry.slots();
  while (const auto slot = amap.first_used(left)) {
    visit(entry.page_of_slot(*slot), *amap.find(*slot));
    left.begin = *slot + 1;
  }
}

}  // namespace

Status Space::check_limit_allows(GpaRange range, const std::shared_ptr<Object>& object, Sharing sharing,
                                 Protection most) const {
  if (!writes_reach_object(object, sharing, most)) return ok();
  return refuse(ErrorKind::Unsupported, "memory limit", range,
                "a writable shared mapping of " + std::string(object->name()) +
                    " has pages that no limit of a space can count",
                "map the memory private, or set no limit");
}

Status Space::set_limit(const MemoryLimit& limit) try {
  {
    const ExclusiveLock lock(map_.lock());
    UVMM_CHECK(check_not_open(limits_, "memory limit"));
    Status status;
    map_.each(limits_, [&](const Entry& entry) {
      if (status) status = check_limit_allows(entry.range, entry.object, entry.sharing, entry.max_protection);
    });
    UVMM_CHECK(std::move(status));
    UVMM_CHECK(reclaim_.check(limit));
    if (!reclaim_.is_limited()) {
      give_amaps();
      count_resident();
    }
    reclaim_.set_limit(limit);
  }
  // What the host could make by itself until now became an event.
  pmap_.update();
  return ok();
} catch (const std::bad_alloc&) {
  return out_of_memory("memory limit", limits_);
}

void Space::give_amaps() {
  const auto give = [&](Entry& entry) NO_THREAD_SAFETY_ANALYSIS {
    if (entry.has_layer() && !entry.amap) map_.set_amap(entry, std::make_shared<Amap>(), 0);
  };
  map_.each_for_change(limits_, give);
}

void Space::count_resident() {
  Room none(reclaim_);
  map_.each(limits_, [&](const Entry& entry) {
    if (!entry.has_layer()) return;
    pmap_.remove(entry.range);
    pmap_.harvest(entry.range, [&](GpaRange run, Frame) { reclaim_.add(run, none); });
    const LockedAmap amap(entry);
    each_anon(entry, amap, [&](Gpa page, const Anon& anon) {
      if (!anon.is_swapped()) reclaim_.add(GpaRange::page_of(page), none);
    });
  });
}

Result<std::uint64_t> Space::reclaim(std::uint64_t bytes) try {
  const std::uint64_t wanted = (bytes >> kPageShift) + ((bytes & (kPageSize - 1)) != 0 ? 1 : 0);
  UVMM_TRY(const std::uint64_t pages, reclaim_.reclaim(wanted));
  return pages << kPageShift;
} catch (const std::bad_alloc&) {
  return out_of_memory("reclaim", limits_);
}

ReclaimStatistics Space::reclaim_statistics() const {
  ReclaimStatistics seen = reclaim_.statistics();
  const SharedLock lock(map_.lock());
  map_.each(limits_, [&](const Entry& entry) {
    const LockedAmap amap(entry);
    each_anon(entry, amap, [&](Gpa, const Anon& anon) { seen.swapped += anon.is_swapped() ? kPageSize : 0; });
  });
  return seen;
}

}  // namespace uvm
