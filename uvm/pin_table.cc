#include "uvm/pin_table.h"

#include <algorithm>
#include <new>
#include <utility>

namespace uvm {

Result<std::uint64_t> PinTable::add(PinInfo pin) {
  pin.since = std::chrono::steady_clock::now();
  const MutexLock lock(lock_);
  const std::uint64_t more = pin.range.size() - counts_.covered(pin.range);
  const std::uint64_t pinned = counts_.covered();
  if (more != 0 && (pinned > limit_ || more > limit_ - pinned)) {
    return Error(ErrorKind::NoMemory,
                 "the space may have " + hex(limit_) + " bytes pinned, and has " + hex(pinned) + " already",
                 "unpin other ranges, or raise the space's limit");
  }
  if (counts_.most(pin.range) >= kMaxPinsOfPage) {
    return Error(ErrorKind::NoMemory, "a page of it is pinned " + std::to_string(kMaxPinsOfPage) + " times",
                 "unpin what is not needed any more");
  }
  const auto record = pins_.emplace(next_, std::move(pin)).first;
  try {
    counts_.add(record->second.range);
  } catch (const std::bad_alloc&) {
    pins_.erase(record);
    throw;
  }
  most_bytes_ = std::max(most_bytes_, pinned + more);
  return next_++;
}

void PinTable::made(std::uint64_t id) {
  const auto now = std::chrono::steady_clock::now();
  const MutexLock lock(lock_);
  const auto at = pins_.find(id);
  if (at == pins_.end()) return;
  ++made_;
  spent_ += now - at->second.since;
}

void PinTable::remove(std::uint64_t id) {
  const MutexLock lock(lock_);
  const auto at = pins_.find(id);
  if (at == pins_.end()) return;
  counts_.remove(at->second.range);
  pins_.erase(at);
}

void PinTable::set_limit(std::uint64_t bytes) {
  const MutexLock lock(lock_);
  limit_ = bytes;
}

std::optional<PinInfo> PinTable::overlapping(GpaRange range) const {
  const MutexLock lock(lock_);
  if (counts_.most(range) == 0) return std::nullopt;
  for (const auto& [id, pin] : pins_) {
    if (pin.range.overlaps(range)) return pin;
  }
  return std::nullopt;
}

std::vector<PinInfo> PinTable::list() const {
  std::vector<PinInfo> pins;
  const MutexLock lock(lock_);
  pins.reserve(pins_.size());
  for (const auto& [id, pin] : pins_) pins.push_back(pin);
  return pins;
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
  // A tree node's header is four words.
  return counts_.metadata_bytes() + pins_.size() * (sizeof(*pins_.begin()) + 4 * sizeof(void*));
}

}  // namespace uvm
