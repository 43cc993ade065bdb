// The operations of Space that change the map. Each checks everything it can refuse before it changes
// anything, changes entries and translations under the exclusive lock, and lets go of what the removed
// entries held after the lock, when no vCPU can reach it any more (unmap before drop references, NetBSD
// uvm_unmap_remove and uvm_unmap_detach).
#include <new>
#include <utility>

#include "uvm/discard.h"
#include "uvm/space.h"

namespace uvm {
namespace {

bool is_expressible(Protection protection) {
  return protection == Protection::None || includes(protection, Protection::Read);
}

Entry entry_of(const MapRequest& request) {
  Entry entry;
  entry.range = request.range;
  entry.name = std::make_shared<const std::string>(request.name);
  entry.object = request.object;
  entry.offset = request.object ? request.offset : ObjectOffset();
  entry.sharing = request.sharing;
  entry.protection = request.protection;
  entry.max_protection = request.max_protection;
  entry.inherit = request.inherit;
  entry.advice = request.advice;
  return entry;
}

}  // namespace

Status Space::check_request(const MapRequest& request) const {
  const GpaRange range = request.range;
  UVMM_CHECK(check_range(range, "map"));
  if (!is_expressible(request.protection) || !is_expressible(request.max_protection)) {
    return refuse(ErrorKind::Invalid, "map", range, "rights without read cannot be mapped",
                  "add read, or use none");
  }
  if (!includes(request.max_protection, request.protection)) {
    return refuse(ErrorKind::Invalid, "map", range,
                  to_string(request.protection) + " is more than the most allowed, " +
                      to_string(request.max_protection));
  }
  if (!request.object) return ok();
  if (!request.offset.is_page_aligned()) {
    return refuse(ErrorKind::Invalid, "map", range,
                  "offset " + to_string(request.offset) + " is not a multiple of the page size");
  }
  if (!ObjectRange::from_size(request.offset, range.size())) {
    return refuse(ErrorKind::Invalid, "map", range, "offset " + to_string(request.offset) + " passes 2^64");
  }
  const Protection most = request.object->max_protection();
  if (request.sharing == Sharing::Shared && !includes(most, request.max_protection)) {
    return refuse(ErrorKind::Protection, "map", range,
                  std::string(request.object->name()) + " allows " + to_string(most) + " at most, not " +
                      to_string(request.max_protection),
                  "map it private, or open it for writing");
  }
  return ok();
}

Status Space::map(const MapRequest& request) try {
  UVMM_CHECK(check_request(request));
  Map::Entries replaced;
  {
    const ExclusiveLock lock(map_.lock());
    Entry entry = entry_of(request);
    if (reclaim_.is_limited()) {
      UVMM_CHECK(check_limit_allows(request.range, request.object, request.sharing, request.max_protection));
      if (entry.has_layer()) entry.amap = std::make_shared<Amap>();
    }
    if (auto is_free = check_free(request.range, "map"); !is_free) {
      if (request.overlap == Overlap::Refuse) return is_free;
      UVMM_CHECK(check_not_open(request.range, "map"));
      UVMM_CHECK(check_not_pinned(request.range, "map"));
      replaced = map_.replace(std::move(entry));
      pmap_.discard(request.range);
      reclaim_.remove(request.range);
    } else {
      map_.insert(std::move(entry));
    }
    written_->note(request.range);
  }
  detach(replaced);
  if (auto entered = enter_ahead(request); !entered && replaced.empty()) {
    // Not merged yet, so this cuts nothing and needs no memory.
    UVMM_CHECK(unmap(request.range));
    return entered;
  }
  if (auto wired = wire_new(request.range); !wired) {
    UVMM_CHECK(unmap(request.range));
    return wired;
  }
  const ExclusiveLock lock(map_.lock());
  map_.merge(request.range);
  return ok();
} catch (const std::bad_alloc&) {
  return out_of_memory("map", request.range);
}

/// Gives back what entries held that were taken out of the map. Without locks.
void Space::detach(const Map::Entries& taken) {
  if (taken.empty()) return;
  pmap_.update();
  for (const auto& [begin, entry] : taken) {
    if (entry.amap) entry.amap->wait_for_all();
    free_anons(entry, pmap_);
  }
}

/// The first run of a new mapping. What the pager says against it is kept for the one who touches the page;
/// that the host has no room for the mapping has to be known now.
Status Space::enter_ahead(const MapRequest& request) try {
  if (request.protection == Protection::None || request.advice == Advice::Random) return ok();
  // Under a limit, zeros are made when somebody wants them.
  if (reclaim_.is_limited() && !request.object) return ok();
  const GpaRange range = request.range;
  auto entered = fault_within(range.begin(), AccessKind::Read, FaultKind::Plain, range);
  if (!entered && entered.error().kind() == ErrorKind::NoMemory) {
    return std::move(entered).error().with_context("map " + to_string(range));
  }
  return ok();
} catch (const std::bad_alloc&) {
  return out_of_memory("map", request.range);
}

Status Space::unmap(GpaRange range) try {
  UVMM_CHECK(check_range(range, "unmap"));
  Map::Entries taken;
  {
    const ExclusiveLock lock(map_.lock());
    UVMM_CHECK(check_not_open(range, "unmap"));
    UVMM_CHECK(check_not_pinned(range, "unmap"));
    taken = map_.take(range);
    if (!taken.empty()) {
      pmap_.discard(range);
      reclaim_.remove(range);
      written_->note(range);
    }
  }
  detach(taken);
  return ok();
} catch (const std::bad_alloc&) {
  return out_of_memory("unmap", range);
}

// The analysis does not know that the walk's map is the one locked here.
Result<Discarded> Space::discard(GpaRange range) NO_THREAD_SAFETY_ANALYSIS try {
  UVMM_CHECK(check_range(range, "discard"));
  Discard walk({name_, map_, pmap_, *pins_, open_}, reclaim_);
  {
    const ExclusiveLock lock(map_.lock());
    walk.run(range);
    written_->note(range);
  }
  walk.finish();
  count(counters_.discarded, walk.given_back() >> kPageShift);
  return Discarded{walk.given_back(), range.size() - walk.given_back()};
} catch (const std::bad_alloc&) {
  return out_of_memory("discard", range);
}

Status Space::check_mapped(GpaRange range, const char* operation) const {
  if (const auto hole = map_.first_hole(range)) {
    return refuse(ErrorKind::NoMapping, operation, range, "nothing is mapped at " + to_string(*hole));
  }
  return ok();
}

Status Space::protect(GpaRange range, Protection protection) {
  Rights before;
  UVMM_CHECK(set_protection(range, protection, before));
  if (protection == Protection::None) return ok();
  auto wired = wire_new(range);
  if (wired) return wired;
  for (const auto& [part, rights] : before) {
    Rights now;
    UVMM_CHECK(set_protection(part, rights, now));
  }
  return wired;
}

Status Space::set_protection(GpaRange range, Protection protection, Rights& before) try {
  UVMM_CHECK(check_range(range, "protect"));
  if (!is_expressible(protection)) {
    return refuse(ErrorKind::Invalid, "protect", range, "rights without read cannot be mapped",
                  "add read, or use none");
  }
  {
    const ExclusiveLock lock(map_.lock());
    UVMM_CHECK(check_mapped(range, "protect"));
    UVMM_CHECK(check_not_open(range, "protect"));
    const Entry* forbids = nullptr;
    map_.each(range, [&](const Entry& entry) {
      if (forbids == nullptr && !includes(entry.max_protection, protection)) forbids = &entry;
    });
    if (forbids != nullptr) {
      return refuse(ErrorKind::Protection, "protect", range,
                    *forbids->name + " at " + to_string(forbids->range) + " allows " +
                        to_string(forbids->max_protection) + " at most, not " + to_string(protection));
    }
    map_.each(range, [&](const Entry& entry) {
      before.emplace_back(entry.range.intersection(range), entry.protection);
    });
    map_.clip(range);
    map_.each_for_change(range, [&](Entry& entry) { entry.protection = protection; });
    map_.merge(range);
    // Only ever lowers; rights that were added come with the next fault.
    pmap_.protect(range, protection);
  }
  pmap_.update();
  return ok();
} catch (const std::bad_alloc&) {
  return out_of_memory("protect", range);
}

Status Space::change(GpaRange range, const char* operation,
                     const std::function<void(Entry&)>& attribute) try {
  UVMM_CHECK(check_range(range, operation));
  const ExclusiveLock lock(map_.lock());
  UVMM_CHECK(check_mapped(range, operation));
  map_.clip(range);
  map_.each_for_change(range, attribute);
  map_.merge(range);
  return ok();
} catch (const std::bad_alloc&) {
  return out_of_memory(operation, range);
}

Status Space::inherit(GpaRange range, Inherit inherit) {
  return change(range, "inherit", [inherit](Entry& entry) { entry.inherit = inherit; });
}

Status Space::advise(GpaRange range, Advice advice) {
  return change(range, "advise", [advice](Entry& entry) { entry.advice = advice; });
}

}  // namespace uvm
