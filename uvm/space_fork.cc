#include "uvm/space_fork.h"

#include <new>

#include "uvm/locked_amap.h"
#include "uvm/promote.h"
#include "uvm/space.h"

namespace uvm {
namespace {

/// Joins at its end what was cut and is still alike. The map's lock is held.
class Rejoin {
 public:
  Rejoin(Map& map, GpaRange range) : map_(map), range_(range) {}
  ~Rejoin() NO_THREAD_SAFETY_ANALYSIS { map_.merge(range_); }
  Rejoin(const Rejoin&) = delete;
  Rejoin& operator=(const Rejoin&) = delete;

 private:
  Map& map_;
  const GpaRange range_;
};

/// An amap for a child that never gets it is emptied.
class Abandon {
 public:
  Abandon(const std::shared_ptr<Amap>& amap, Pmap& pmap) : amap_(amap), pmap_(pmap) {}
  ~Abandon() NO_THREAD_SAFETY_ANALYSIS {
    if (!amap_) return;
    const MutexLock lock(amap_->lock());
    if (amap_->uses().empty()) amap_->drop_range(kAllSlots, pmap_);
  }
  Abandon(const Abandon&) = delete;
  Abandon& operator=(const Abandon&) = delete;

 private:
  const std::shared_ptr<Amap> amap_;
  Pmap& pmap_;
};

}  // namespace

Status SpaceFork::entry(Entry& entry) {
  switch (entry.inherit) {
    case Inherit::None:
      return ok();
    case Inherit::Share:
      return share(entry);
    case Inherit::Copy:
      return copy(entry);
    case Inherit::Zero: {
      Entry zeros = entry;
      zeros.object = nullptr;
      zeros.offset = ObjectOffset();
      zeros.amap = nullptr;
      zeros.slot = 0;
      zeros.sharing = Sharing::Private;
      zeros.needs_copy = false;
      child_.insert_unpublished(std::move(zeros));
      return ok();
    }
  }
  return ok();
}

Status SpaceFork::move_pages(Entry& entry) {
  if (entry.needs_copy) return ok();  // the host was not allowed to make any
  to_flush_.insert(&pmap_);
  pmap_.remove(entry.range);
  std::vector<std::pair<GpaRange, Frame>> runs;
  pmap_.harvest(entry.range, [&](GpaRange run, Frame first) { runs.emplace_back(run, first); });
  if (runs.empty()) return ok();
  if (!entry.amap) map_.set_amap(entry, std::make_shared<Amap>(), 0);
  LockedAmap amap(entry);
  for (const auto& [run, first] : runs) {
    for (std::uint64_t i = 0; i < run.pages(); ++i) {
      const Gpa page = run.begin() + (i << kPageShift);
      UVMM_TRY(const Frame moved,
               promote_slot(pmap_, amap, entry.slot_of(page), {page, first + i, Placement::Shareable}));
      (void)moved;
      pmap_.release(first + i);
    }
  }
  return ok();
}

Result<std::shared_ptr<Amap>> SpaceFork::snapshot_of_group(const Entry& entry) {
  Amap& amap = *entry.amap;
  const MutexLock lock(amap.lock());
  held_.reserve(held_.size() + 1);
  amap.set_busy(kWholeAmap);
  held_.push_back(entry.amap);
  const std::vector<ObjectRange> pinned = amap.uses().pinned(entry.amap_window());
  for (const ObjectRange& part : gaps(entry.amap_window(), pinned)) {
    amap.uses().each_place(part, [&](Pmap& pmap, GpaRange place) {
      to_flush_.insert(&pmap);
      pmap.protect(place, Protection::ReadExecute);
    });
  }
  std::vector<SlotRange> left_out;
  for (const ObjectRange& part : pinned) {
    UVMM_CHECK(copy_slots(entry, amap, {part.begin().page(), part.end().page()}, left_out));
  }
  return amap.copy_without(entry.slots(), left_out, pmap_);
}

Status SpaceFork::copy_slots(const Entry& entry, Amap& amap, SlotRange slots,
                             std::vector<SlotRange>& copied) {
  while (const auto slot = amap.first_used(slots)) {
    slots.begin = *slot + 1;
    // Pinned pages are in memory, but for a pin that is being made: what comes from swap is a copy anyway.
    if (amap.find(*slot)->is_swapped()) continue;
    if (copied.empty() || copied.back().end != *slot) copied.push_back({*slot, *slot});
    ++copied.back().end;
    const Frame frame = amap.find(*slot)->frame();
    UVMM_CHECK(child_pmap_.promote({entry.page_of_slot(*slot), frame, Placement::InPlace}));
  }
  return ok();
}

Status SpaceFork::copy_pinned(const Entry& entry) {
  std::shared_ptr<Amap> in_swap;
  // Slots come before pages in place, as in a fault: a page that is there already is not copied again.
  if (entry.amap) {
    const MutexLock lock(entry.amap->lock());
    std::vector<SlotRange> copied;
    UVMM_CHECK(copy_slots(entry, *entry.amap, entry.slots(), copied));
    in_swap = entry.amap->copy_without(entry.slots(), copied, pmap_);
  }
  const Abandon abandon(in_swap, pmap_);
  std::vector<std::pair<GpaRange, Frame>> runs;
  pmap_.harvest(entry.range, [&](GpaRange run, Frame first) { runs.emplace_back(run, first); });
  for (const auto& [run, first] : runs) {
    for (std::uint64_t i = 0; i < run.pages(); ++i) {
      UVMM_CHECK(child_pmap_.promote({run.begin() + (i << kPageShift), first + i, Placement::InPlace}));
    }
  }
  Entry twin = entry;
  twin.sharing = Sharing::Private;
  twin.amap = in_swap;
  if (!in_swap) twin.slot = 0;
  twin.needs_copy = false;
  twin.placement = Placement::InPlace;
  child_.insert_unpublished(std::move(twin));
  return ok();
}

void SpaceFork::cut_at_pins(GpaRange limits) {
  for (const GpaRange& pinned : pins_.parts(limits)) {
    std::vector<GpaRange> parts;
    map_.each(pinned, [&](const Entry& entry) {
      if (entry.inherit == Inherit::Copy && entry.has_layer()) {
        parts.push_back(entry.range.intersection(pinned));
      }
    });
    for (const GpaRange& part : parts) map_.clip(part);
  }
}

Status SpaceFork::copy(Entry& entry) {
  bool is_group = false;
  if (entry.has_layer()) {
    bool has_pages = entry.amap != nullptr;
    pmap_.harvest(entry.range, [&](GpaRange, Frame) { has_pages = true; });
    if (has_pages) {
      const LockedAmap amap(entry);
      is_group = !entry.needs_copy && amap.is_shared(entry);
    }
    if (!is_group && !pins_.parts(entry.range).empty()) return copy_pinned(entry);
    if (has_pages && !is_group) UVMM_CHECK(move_pages(entry));
  }
  Entry twin = entry;
  twin.placement = Placement::InPlace;
  if (entry.has_layer()) twin.sharing = Sharing::Private;
  if (is_group) {
    UVMM_TRY(twin.amap, snapshot_of_group(entry));
  } else if (entry.amap) {
    entry.needs_copy = twin.needs_copy = true;
  }
  try {
    child_.insert_unpublished(twin);
  } catch (const std::bad_alloc&) {
    if (is_group) clear(*twin.amap, pmap_);
    throw;
  }
  return ok();
}

Status SpaceFork::make_shareable(Entry& entry) {
  if (!entry.has_layer()) return ok();
  map_.own_amap(entry);
  UVMM_CHECK(move_pages(entry));
  if (!entry.amap) map_.set_amap(entry, std::make_shared<Amap>(), 0);
  return ok();
}

Status SpaceFork::share(Entry& entry) {
  UVMM_CHECK(make_shareable(entry));
  child_.insert_unpublished(entry);
  return ok();
}

void SpaceFork::finish() {
  for (Pmap* pmap : to_flush_) pmap->update();
  to_flush_.clear();
  for (const auto& amap : held_) amap->clear_busy(kWholeAmap);
  held_.clear();
}

Status Space::check_fork() const {
  UVMM_CHECK(check_not_open(limits_, "fork"));
  UVMM_CHECK(check_fork_pins());
  const Entry* forbids = nullptr;
  map_.each(limits_, [&](const Entry& entry) {
    const bool leaks = entry.inherit == Inherit::Copy && entry.object && !entry.is_private() &&
                       includes(entry.max_protection, Protection::Write);
    if (leaks && forbids == nullptr) forbids = &entry;
  });
  if (forbids == nullptr) return ok();
  return refuse(ErrorKind::Unsupported, "fork", forbids->range,
                *forbids->name + " is a shared, writable mapping of " + std::string(forbids->object->name()) +
                    ", which cannot be copied",
                "have it inherited shared, or map it private");
}

Result<std::unique_ptr<Space>> Space::fork(std::string name, Pmap& pmap) try {
  UVMM_TRY(std::unique_ptr<Space> child, create(std::move(name), pmap, limits_));
  SpaceFork fork({map_, pmap_, *pins_}, {child->map_, pmap});
  Status status;
  {
    const ExclusiveLock lock(map_.lock());
    UVMM_CHECK(check_fork());
    // The analysis does not know that the fork's map is the one locked here.
    const auto each_entry = [&]() NO_THREAD_SAFETY_ANALYSIS {
      const Rejoin rejoin(map_, limits_);
      fork.cut_at_pins(limits_);
      map_.each_for_change(limits_, [&](Entry& entry) NO_THREAD_SAFETY_ANALYSIS {
        if (status) status = fork.entry(entry);
      });
    };
    each_entry();
  }
  fork.finish();
  if (!status) {
    return std::move(status).error().with_context("space " + name_ + ": fork " + to_string(limits_));
  }
  return child;
} catch (const std::bad_alloc&) {
  return out_of_memory("fork", limits_);
}

}  // namespace uvm
