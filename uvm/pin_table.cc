#include "uvm/pin_table.h"

#include <algorithm>
#include <new>
#include <utility>

namespace uvm {
namespace {

PinInfo of(const PinInfo& pin, GpaRange part) {
  PinInfo info = pin;
  info.range = part;
  return info;
}

}  // namespace

Result<std::uint64_t> PinTable::add(PinInfo pin, std::span<const GpaRange> ranges) {
  pin.since = std::chrono::steady_clock::now();
  const MutexLock lock(lock_);
  const std::uint64_t pinned = counts_.covered();
  Record record{std::move(pin), {}};
  if (ranges.size() > 1) record.list.assign(ranges.begin(), ranges.end());
  // Counted first and looked at then: what it would come to is what it comes to.
  std::uint64_t highest = 0;
  std::size_t counted = 0;
  std::optional<Error> error;
  try {
    for (; counted < ranges.size(); ++counted) highest = std::max(highest, counts_.add(ranges[counted]));
    const bool grows = counts_.covered() != pinned;
    if (grows && counts_.covered() > limit_) {
      error.emplace(
          ErrorKind::NoMemory,
          "the space may have " + hex(limit_) + " bytes pinned, and has " + hex(pinned) + " already",
          "unpin other ranges, or raise the space's limit");
    } else if (highest > kMaxPinsOfPage) {
      error.emplace(ErrorKind::NoMemory,
                    "a page of it is pinned " + std::to_string(kMaxPinsOfPage) + " times",
                    "unpin what is not needed any more");
    } else {
      pins_.emplace_hint(pins_.end(), next_, std::move(record));
      most_bytes_ = std::max(most_bytes_, counts_.covered());
      return next_++;
    }
  } catch (const std::bad_alloc&) {
    for (std::size_t i = 0; i < counted; ++i) counts_.remove(ranges[i]);
    throw;
  }
  for (const GpaRange& range : ranges) counts_.remove(range);
  return *std::move(error);
}

void PinTable::made(std::uint64_t id) {
  const auto now = std::chrono::steady_clock::now();
  const MutexLock lock(lock_);
  const auto at = pins_.find(id);
  if (at == pins_.end()) return;
  ++made_;
  spent_ += now - at->second.info.since;
}

void PinTable::remove(std::uint64_t id) {
  const MutexLock lock(lock_);
  const auto at = pins_.find(id);
  if (at == pins_.end()) return;
  const bool writes = written_ && at->second.info.access == PinAccess::Write;
  for (const GpaRange& range : at->second.ranges()) {
    counts_.remove(range);
    if (writes) written_->note(range);
  }
  pins_.erase(at);
}

void PinTable::set_limit(std::uint64_t bytes) {
  const MutexLock lock(lock_);
  limit_ = bytes;
}

std::optional<PinInfo> PinTable::overlapping(GpaRange range) const {
  const MutexLock lock(lock_);
  if (counts_.most(range) == 0) return std::nullopt;
  for (const auto& [id, record] : pins_) {
    if (!record.info.range.overlaps(range)) continue;
    for (const GpaRange& part : record.ranges()) {
      if (part.overlaps(range)) return of(record.info, part);
    }
  }
  return std::nullopt;
}

std::vector<PinInfo> PinTable::list() const {
  std::vector<PinInfo> pins;
  const MutexLock lock(lock_);
  pins.reserve(pins_.size());
  for (const auto& [id, record] : pins_) {
    for (const GpaRange& part : record.ranges()) pins.push_back(of(record.info, part));
  }
  return pins;
}

void PinTable::add_writable(PageSet& pages) const {
  const MutexLock lock(lock_);
  for (const auto& [id, record] : pins_) {
    if (record.info.access != PinAccess::Write) continue;
    for (const GpaRange& part : record.ranges()) pages.add(part);
  }
}

std::uint64_t PinTable::count_at(Gpa address) const {
  const MutexLock lock(lock_);
  return counts_.count_at(address);
}

std::vector<GpaRange> PinTable::parts(GpaRange range) const {
  const MutexLock lock(lock_);
  return counts_.parts(range);
}

std::uint64_t PinTable::bytes(GpaRange range) const {
  const MutexLock lock(lock_);
  return counts_.covered(range);
}

PinStatistics PinTable::statistics() const {
  const MutexLock lock(lock_);
  return {pins_.size(), counts_.covered(), limit_, most_bytes_, made_, spent_};
}

std::uint64_t PinTable::metadata_bytes() const {
  const MutexLock lock(lock_);
  std::uint64_t lists = 0;
  for (const auto& [id, record] : pins_) lists += record.list.size() * sizeof(GpaRange);
  // A tree node's header is four words.
  return counts_.metadata_bytes() + lists + pins_.size() * (sizeof(*pins_.begin()) + 4 * sizeof(void*));
}

}  // namespace uvm
