#include "uvm/space_fork.h"

#include "uvm/locked_amap.h"
#include "uvm/promote.h"
#include "uvm/space.h"

namespace uvm {
namespace {

bool has_layer(const Entry& entry) {
  return entry.object == nullptr || entry.is_private();
}

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
  pmap_.remove(entry.range);
  to_flush_.insert(&pmap_);
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

std::shared_ptr<Amap> SpaceFork::snapshot_of_group(const Entry& entry) {
  const MutexLock lock(entry.amap->lock());
  entry.amap->set_busy(kWholeAmap);
  held_.push_back(entry.amap);
  entry.amap->uses().each_place(entry.amap_window(), [&](Pmap& pmap, GpaRange place) {
    pmap.protect(place, Protection::ReadExecute);
    to_flush_.insert(&pmap);
  });
  return entry.amap->copy(entry.slots(), pmap_);
}

Status SpaceFork::copy(Entry& entry) {
  bool is_group = false;
  if (has_layer(entry)) {
    bool has_pages = entry.amap != nullptr;
    pmap_.harvest(entry.range, [&](GpaRange, Frame) { has_pages = true; });
    if (has_pages) {
      const LockedAmap amap(entry);
      is_group = !entry.needs_copy && amap.is_shared(entry);
    }
    if (has_pages && !is_group) UVMM_CHECK(move_pages(entry));
  }
  Entry twin = entry;
  if (has_layer(entry)) twin.sharing = Sharing::Private;
  if (is_group) {
    twin.amap = snapshot_of_group(entry);
  } else if (entry.amap) {
    entry.needs_copy = twin.needs_copy = true;
  }
  child_.insert_unpublished(std::move(twin));
  return ok();
}

Status SpaceFork::share(Entry& entry) {
  if (has_layer(entry)) {
    map_.own_amap(entry);
    UVMM_CHECK(move_pages(entry));
    if (!entry.amap) map_.set_amap(entry, std::make_shared<Amap>(), 0);
  }
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

Result<std::unique_ptr<Space>> Space::fork(std::string name, Pmap& pmap) {
  UVMM_TRY(std::unique_ptr<Space> child, create(std::move(name), pmap, limits_));
  SpaceFork fork(map_, pmap_, child->map_);
  Status status;
  {
    const ExclusiveLock lock(map_.lock());
    UVMM_CHECK(check_fork());
    map_.each_for_change(limits_, [&](Entry& entry) NO_THREAD_SAFETY_ANALYSIS {
      if (status) status = fork.entry(entry);
    });
  }
  fork.finish();
  if (!status) return std::move(status).error();
  return child;
}

}  // namespace uvm
