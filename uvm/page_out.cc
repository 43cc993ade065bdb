#include "uvm/page_out.h"

#include <algorithm>
#include <new>
#include <utility>

#include "uvm/open_ranges.h"
#include "uvm/pin_table.h"

namespace uvm {
namespace {

bool is_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

InPlace::InPlace(Pmap& pmap, GpaRange part) : begin_(part.begin()) {
  pmap.harvest(part, [&](GpaRange run, Frame first) {
    for (std::uint64_t i = 0; i < run.pages(); ++i) {
      frames_[((run.begin() - begin_) >> kPageShift) + i] = first + i;
    }
  });
}

bool may_go(const Entry& entry, const LockedAmap& amap) {
  return entry.has_layer() && amap.exists() && (entry.needs_copy || !amap.is_shared(entry));
}

std::vector<GpaRange> unpinned(const PinTable& pins, GpaRange range) {
  std::vector<GpaRange> free;
  for (const GpaRange& pinned : pins.parts(range)) {
    if (range.begin() < pinned.begin()) free.push_back(range.before(pinned.begin()));
    range = range.from(pinned.end());
  }
  if (!range.empty()) free.push_back(range);
  return free;
}

Result<std::uint64_t> PageOut::run(GpaRange cluster) try {
  Status status;
  std::optional<GpaRange> rest = cluster;
  while (rest && !rest->empty() && status) {
    GpaRange part;
    {
      const SharedLock lock(memory_.map.lock());
      const Entry* entry = memory_.map.first_from(rest->begin());
      if (entry != nullptr) part = rest->intersection(entry->range);
    }
    if (part.empty()) break;
    status = run_part(part);
    rest = rest->from(part.end());
  }
  if (!status && gone_ == 0) return std::move(status).error();
  return gone_;
} catch (const std::bad_alloc&) {
  if (gone_ != 0) return gone_;
  return out_of_memory([&] {
    return Error(ErrorKind::NoMemory,
                 "space " + memory_.space + ": reclaiming " + to_string(cluster) + ": out of host memory");
  });
}

void PageOut::own_amap(Gpa page) {
  {
    const SharedLock lock(memory_.map.lock());
    const Entry* entry = memory_.map.find(page);
    if (entry == nullptr || !entry->needs_copy) return;
  }
  const ExclusiveLock lock(memory_.map.lock());
  if (Entry* entry = memory_.map.find_for_change(page)) memory_.map.own_amap(*entry);
}

Status PageOut::run_part(GpaRange part) {
  own_amap(part.begin());
  auto batch = choose(part);
  if (!batch) return ok();
  memory_.pmap.update();
  const auto finish = [&] { free_unused(*batch); };
  Status status;
  try {
    status = write(*batch);
    commit(*batch);  // what was written before an error, and zeros
  } catch (const std::bad_alloc&) {
    finish();
    throw;
  }
  finish();
  return status;
}

std::optional<PageOut::Batch> PageOut::choose(GpaRange part) {
  // Outlives the locks, whatever is thrown.
  Batch batch;
  {
    const SharedLock lock(memory_.map.lock());
    const Entry* entry = memory_.map.find(part.begin());
    if (entry == nullptr || !entry->amap || entry->needs_copy) return std::nullopt;
    batch.busy = BusySlots(entry->amap);
    batch.victims.reserve(kClusterPages);
    const LockedAmap amap(*entry);
    if (!may_go(*entry, amap)) return std::nullopt;
    batch.zeros_may_go = entry->object == nullptr;
    choose_pages(*entry, amap, part.intersection(entry->range), batch);
  }
  if (batch.victims.empty()) return std::nullopt;
  return batch;
}

void PageOut::choose_pages(const Entry& entry, const LockedAmap& amap, GpaRange part, Batch& batch) {
  // Whoever opens or pins the part from here on looks at its pages after us, and waits for the busy ones.
  if (memory_.open.overlapping(part)) return;
  for (const GpaRange& free : unpinned(memory_.pins, part)) {
    const InPlace there(memory_.pmap, free);
    for (Gpa page = free.begin(); page < free.end(); page += kPageSize) {
      Victim victim{page, entry.slot_of(page), amap.find(entry.slot_of(page)), {}};
      if (amap.is_busy(victim.slot)) continue;
      if (victim.anon) {
        if (victim.anon->is_swapped()) continue;
        victim.frame = victim.anon->frame();
      } else if (const auto frame = there.at(page)) {
        victim.frame = *frame;
      } else {
        continue;
      }
      batch.busy.add(victim.slot);
      batch.victims.push_back(victim);
    }
    memory_.pmap.remove(free);
  }
}

Status PageOut::write(Batch& batch) {
  bytes_.resize(kClusterBytes);
  std::vector<Victim*> wanted;
  wanted.reserve(batch.victims.size());
  read(batch.victims);
  const auto bytes_of = [&](std::size_t i) { return std::span(bytes_).subspan(i << kPageShift, kPageSize); };
  for (std::size_t i = 0; i < batch.victims.size(); ++i) {
    Victim& victim = batch.victims[i];
    if (victim.is_lost || (batch.zeros_may_go && is_zero(bytes_of(i)))) continue;
    // Those that are left to write come one after the other.
    if (wanted.size() != i) std::ranges::copy(bytes_of(i), bytes_of(wanted.size()).begin());
    wanted.push_back(&victim);
  }
  if (wanted.empty()) return ok();
  if (swap_ == nullptr) {
    for (Victim* victim : wanted) victim->is_lost = true;
    return Error(ErrorKind::NoMemory, "there is no swap area");
  }
  return write_run(wanted, 0);
}

void PageOut::read(std::span<Victim> victims) {
  for (std::size_t i = 0; i < victims.size();) {
    std::size_t end = i + 1;
    while (end < victims.size() && victims[end].frame == victims[i].frame + (end - i)) ++end;
    const auto bytes = [&](std::size_t from, std::size_t to) {
      return std::span(bytes_).subspan(from << kPageShift, (to - from) << kPageShift);
    };
    if (!memory_.pmap.read(victims[i].frame, bytes(i, end))) {
      // Unmapped, or moved by a fork, since: some of them.
      for (std::size_t one = i; one < end; ++one) {
        victims[one].is_lost = !memory_.pmap.read(victims[one].frame, bytes(one, one + 1));
      }
    }
    i = end;
  }
}

Status PageOut::write_run(std::span<Victim* const> victims, std::size_t begin) {
  auto first = swap_->write(std::span(bytes_).subspan(begin << kPageShift, victims.size() << kPageShift));
  if (first) {
    for (std::size_t i = 0; i < victims.size(); ++i) {
      victims[i]->swapped = Frame{swap_, first->number + i};
    }
    return ok();
  }
  if (first.error().kind() != ErrorKind::NoMemory || victims.size() == 1) {
    for (Victim* victim : victims) victim->is_lost = true;
    return std::move(first).error();
  }
  const std::size_t half = victims.size() / 2;
  const Status low = write_run(victims.first(half), begin);
  const Status high = write_run(victims.subspan(half), begin + half);
  return low ? high : low;
}

void PageOut::commit(Batch& batch) {
  const SharedLock lock(memory_.map.lock());
  for (std::span<Victim> rest = batch.victims; !rest.empty();) {
    const Entry* entry = memory_.map.find(rest.front().page);
    std::size_t count = 1;
    while (entry != nullptr && count < rest.size() && entry->range.contains(rest[count].page)) ++count;
    if (entry != nullptr && entry->amap == batch.busy.amap()) commit_part(*entry, rest.first(count));
    rest = rest.subspan(count);
  }
}

void PageOut::commit_part(const Entry& entry, std::span<Victim> victims) {
  LockedAmap amap(entry);
  if (entry.needs_copy || !may_go(entry, amap)) return;
  const InPlace there(memory_.pmap,
                      *GpaRange::from_bounds(victims.front().page, victims.back().page + kPageSize));
  const auto has_slot = [](const Victim& victim) { return victim.swapped || victim.anon; };
  if (std::ranges::any_of(victims, has_slot)) {
    // First, so that nothing has to be asked for once pages are on their way.
    amap.make_room(entry.slot_of(victims.front().page), memory_.pmap);
    amap.make_room(entry.slot_of(victims.back().page), memory_.pmap);
  }
  GpaRange gone;  // of pages in place
  for (Victim& victim : victims) {
    if (victim.is_lost || !is_unchanged(entry, amap, victim)) continue;
    // An anon that others hold too is not written by anybody, so each of them may keep its bytes where it
    // likes.
    if (!victim.anon && !there.at(victim.page)) continue;
    replace(amap, victim);
    const GpaRange page = GpaRange::page_of(victim.page);
    account_.remove(page);
    ++gone_;
    if (victim.anon) continue;
    if (gone.end() != page.begin() || gone.empty()) {
      if (!gone.empty()) memory_.pmap.discard(gone);
      gone = page;
    }
    gone = *GpaRange::from_bounds(gone.begin(), page.end());
  }
  if (!gone.empty()) memory_.pmap.discard(gone);
}

bool PageOut::is_unchanged(const Entry& entry, const LockedAmap& amap, const Victim& victim) const {
  if (entry.slot_of(victim.page) != victim.slot) return false;
  // A pin that found the page before it became busy, or that takes private pages without a fault.
  if (memory_.pins.count_at(victim.page) != 0) return false;
  return amap.find(victim.slot) == victim.anon;
}

/// There is room in the slots.
void PageOut::replace(LockedAmap& amap, Victim& victim) {
  if (victim.swapped) {
    amap.put(victim.slot, Anon(*victim.swapped), memory_.pmap);
    victim.swapped.reset();  // the anon's
    ++written_;
  } else if (victim.anon) {
    amap.drop(victim.slot, memory_.pmap);
  }
}

void PageOut::free_unused(Batch& batch) {
  for (Victim& victim : batch.victims) {
    if (victim.swapped) swap_->free({victim.swapped->index}, 1);
    victim.swapped.reset();
  }
}

}  // namespace uvm
