#include "uvm/reclaim.h"

#include <algorithm>
#include <utility>

#include "uvm/locked_amap.h"
#include "uvm/open_ranges.h"
#include "uvm/page_out.h"
#include "uvm/pin_table.h"

namespace uvm {
namespace {

/// Pages a fault without room reclaims at least: the next ones find some.
constexpr std::uint64_t kBatch = 2 * kClusterPages;
/// Clusters read at once where memory is used in order: an event and the change of all translations that
/// comes with it cost as much as the input of two.
constexpr std::uint64_t kReadAhead = 4;
/// Clusters hidden at once: the inactive queue grows over several calls.
constexpr int kHiddenAtOnce = 4;
/// Clusters in a row whose write may fail before a pass gives up.
constexpr int kMostFailures = 2;

}  // namespace

void Room::give_back() {
  if (pages_ != 0) reclaim_.give_back(*this);
}

Status Reclaim::check(const MemoryLimit& limit) const {
  if (limit.bytes < kLeastMemoryLimit || limit.bytes % kPageSize != 0) {
    return Error(ErrorKind::Invalid,
                 "space " + memory_.space + ": a memory limit of " + hex(limit.bytes) + " bytes",
                 "it has to be whole pages, " + hex(kLeastMemoryLimit) + " bytes or more");
  }
  const MutexLock lock(lock_);
  if (is_limited_ && limit.swap != limit_.swap) {
    return Error(ErrorKind::Invalid, "space " + memory_.space + ": its memory goes to another swap already",
                 "change the limit only");
  }
  return ok();
}

void Reclaim::set_limit(const MemoryLimit& limit) {
  const MutexLock lock(lock_);
  limit_ = limit;
  counts_.limit = limit.bytes;
  is_limited_ = true;
  changed_.notify_all();
}

bool Reclaim::take_locked(Room& room, std::uint64_t pages) {
  if (room.pages_ >= pages) return true;
  const std::uint64_t more = pages - room.pages_;
  const std::uint64_t limit = limit_.bytes >> kPageShift;
  const std::uint64_t taken = resident_ + reserved_ + more;
  if (taken + limit / 16 > limit && !std::exchange(told_low_, true) && limit_.low) limit_.low();
  if (taken > limit) return false;
  reserved_ += more;
  room.pages_ = pages;
  return true;
}

bool Reclaim::take(Room& room, GpaRange range) {
  const MutexLock lock(lock_);
  queue_.make_room(range);
  return take_locked(room, range.pages() - queue_.count(range));
}

void Reclaim::give_back(Room& room) {
  const MutexLock lock(lock_);
  reserved_ -= std::exchange(room.pages_, 0);
  changed_.notify_all();
}

void Reclaim::add(GpaRange range, Room& room) {
  const MutexLock lock(lock_);
  const std::uint64_t added = queue_.add(range);
  const std::uint64_t paid = std::min(added, room.pages_);
  room.pages_ -= paid;
  reserved_ -= paid;
  resident_ += added;
}

void Reclaim::remove(GpaRange range) {
  const MutexLock lock(lock_);
  resident_ -= queue_.remove(range);
  changed_.notify_all();
}

void Reclaim::use(Gpa page) {
  const MutexLock lock(lock_);
  if (queue_.use(page)) ++counts_.refaults;
}

GpaRange Reclaim::read_ahead(Gpa page) const {
  const GpaRange cluster = cluster_of(page);
  if (page != cluster.begin() || page.value() == 0) return cluster;
  const MutexLock lock(lock_);
  // Of what is in memory no more than a small part goes for a guess.
  const std::uint64_t most = std::min(kReadAhead, limit_.bytes / kPageSize / 32 / kClusterPages);
  if (most <= 1 || !queue_.has(page - kPageSize)) return cluster;
  const std::uint64_t bytes = std::min(most * kClusterBytes, kAddressLimit - page.value());
  return GpaRange::from_size(page, bytes).value_or(cluster);
}

bool Reclaim::looks_ahead(Gpa page) const {
  const MutexLock lock(lock_);
  if (resident_ + reserved_ < limit_.bytes / kPageSize / 8 * 7) return true;
  return page.value() != 0 && queue_.has(page - kPageSize);
}

Status Reclaim::make_room(Room& room, std::uint64_t pages) {
  room.give_back();  // who waits holds nothing that others wait for
  bool counted = false;
  while (true) {
    {
      const MutexLock lock(lock_);
      if (take_locked(room, pages)) return ok();
      if (!std::exchange(counted, true)) ++counts_.direct;
    }
    auto freed = reclaim(std::max(pages, kBatch));
    if (freed && *freed != 0) continue;
    const std::uint64_t pinned = memory_.pins.statistics().bytes;
    const MutexLock lock(lock_);
    if (take_locked(room, pages)) return ok();
    if (in_flight_ == 0 && reserved_ == 0) {
      return exhausted(pages, pinned, freed ? std::nullopt : std::optional(std::move(freed).error()));
    }
    changed_.wait(lock_);
  }
}

Result<std::uint64_t> Reclaim::reclaim(std::uint64_t pages) {
  auto freed = pass(pages);
  const MutexLock lock(lock_);
  if (!freed) {
    last_failure_ = freed.error();
  } else if (*freed != 0) {
    last_failure_.reset();
  }
  const std::uint64_t limit = limit_.bytes >> kPageShift;
  if (resident_ + reserved_ + limit / 16 <= limit) told_low_ = false;
  return freed;
}

Result<std::uint64_t> Reclaim::pass(std::uint64_t pages) {
  std::uint64_t clusters = 0;
  {
    const MutexLock lock(lock_);
    clusters = queue_.clusters();
  }
  std::uint64_t freed = 0;
  int failures = 0;
  // Each cluster is looked at once: one that has to stay becomes active again.
  for (; freed < pages && clusters > 0; --clusters) {
    fill_inactive();
    std::optional<GpaRange> victim;
    Swap* swap = nullptr;
    {
      const MutexLock lock(lock_);
      victim = queue_.next_victim();
      if (victim) ++in_flight_;
      swap = limit_.swap;
    }
    if (!victim) break;
    auto gone = page_out(*victim, swap);
    if (gone) {
      freed += *gone;
      failures = 0;
    } else if (++failures == kMostFailures) {
      if (freed == 0) return std::move(gone).error();
      break;
    }
  }
  return freed;
}

Result<std::uint64_t> Reclaim::page_out(GpaRange cluster, Swap* swap) {
  PageOut out(memory_, swap, *this);
  auto gone = out.run(cluster);
  const MutexLock lock(lock_);
  --in_flight_;
  changed_.notify_all();
  if (!gone) {
    ++counts_.failed_outs;
    return gone;
  }
  counts_.outs += out.written();
  counts_.zeros += *gone - out.written();
  if (*gone == 0) queue_.use(cluster.begin());
  return gone;
}

void Reclaim::fill_inactive() {
  std::uint64_t tries = 0;
  int hidden = 0;
  do {
    std::optional<GpaRange> cluster;
    {
      const MutexLock lock(lock_);
      if (tries == 0) tries = queue_.clusters() + 1;
      if (queue_.inactive() * 3 >= resident_ && queue_.inactive() != 0) break;
      cluster = queue_.deactivate();
    }
    if (!cluster) break;
    if (hide(*cluster)) {
      ++hidden;
      continue;
    }
    const MutexLock lock(lock_);
    queue_.use(cluster->begin());
  } while (hidden < kHiddenAtOnce && --tries > 0);
  if (hidden != 0) memory_.pmap.update();
}

bool Reclaim::hide(GpaRange cluster) {
  bool hidden = false;
  const auto hide_part = [&](const Entry& entry) {
    const GpaRange part = entry.range.intersection(cluster);
    const LockedAmap amap(entry);
    if (!may_go(entry, amap) || memory_.open.overlapping(part)) return;
    for (const GpaRange& free : unpinned(memory_.pins, part)) {
      memory_.pmap.remove(free);
      hidden = true;
    }
  };
  const SharedLock lock(memory_.map.lock());
  memory_.map.each(cluster, hide_part);
  return hidden;
}

Error Reclaim::exhausted(std::uint64_t pages, std::uint64_t pinned, const std::optional<Error>& why) const {
  std::string what = "the memory limit of " + hex(limit_.bytes) + " bytes leaves no room for " +
                     std::to_string(pages) + (pages == 1 ? " page: " : " pages: ") +
                     hex(resident_ << kPageShift) + " bytes are in memory, " + hex(pinned) +
                     " of them pinned, and ";
  what += why ? "no more can go to swap: " + why->what() : "what is left cannot go";
  return {ErrorKind::NoMemory, std::move(what), "raise the limit, enlarge the swap area, or unpin memory"};
}

Status Reclaim::check_pins(GpaRange range, std::uint64_t bytes) const {
  const MutexLock lock(lock_);
  if (!is_limited_ || bytes <= limit_.bytes) return ok();
  return Error(ErrorKind::NoMemory,
               "space " + memory_.space + ": pin " + to_string(range) + ": " + hex(bytes) +
                   " bytes would be pinned, of a memory limit of " + hex(limit_.bytes),
               "raise the limit, or unpin other ranges");
}

void Reclaim::count_in(const Status& status, std::uint64_t pages) {
  const MutexLock lock(lock_);
  if (status) {
    counts_.ins += pages;
  } else {
    ++counts_.failed_ins;
  }
}

ReclaimStatistics Reclaim::statistics() const {
  const MutexLock lock(lock_);
  ReclaimStatistics seen = counts_;
  seen.resident = resident_ << kPageShift;
  seen.reserved = reserved_ << kPageShift;
  seen.active = queue_.active() << kPageShift;
  seen.inactive = queue_.inactive() << kPageShift;
  return seen;
}

std::optional<Error> Reclaim::last_failure() const {
  const MutexLock lock(lock_);
  return last_failure_;
}

std::uint64_t Reclaim::metadata_bytes() const {
  const MutexLock lock(lock_);
  return sizeof(Reclaim) + queue_.metadata_bytes();
}

}  // namespace uvm
