// The pins of one space: which ranges are held, by whom, and what a fork does about it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "uvm/base/range.h"
#include "uvm/counted_ranges.h"
#include "uvm/pin_owner.h"
#include "uvm/write_log.h"

namespace uvm {

/// What the owner does with the bytes. Write includes reading.
enum class PinAccess : std::uint8_t { Read, Write };

/// What a fork does with private memory that is pinned and that the child would get.
enum class ForkPolicy : std::uint8_t {
  Copy,     // the child gets copies, made at the fork; the owner keeps its pages
  Quiesce,  // Pinned: the owner has to be stopped and unpinned first, then the fork can be tried again
  Refuse,   // Pinned: this memory is not forked
};

/// A pin as listings and refusals show it.
struct PinInfo {
  GpaRange range;  // bytes, page-aligned
  PinAccess access = PinAccess::Read;
  ForkPolicy policy = ForkPolicy::Copy;
  std::string owner;
  std::chrono::steady_clock::time_point since{};  // set by the table
};

/// One look at the pins of a space.
struct PinStatistics {
  std::uint64_t pins = 0;
  std::uint64_t bytes = 0;  // of the space that are pinned; a page pinned twice counts once
  std::uint64_t limit = kNoPinLimit;
  std::uint64_t most_bytes = 0;      // that were pinned at once, ever
  std::uint64_t made = 0;            // pins, ever
  std::chrono::nanoseconds spent{};  // on making them, bringing pages in included
};

/// How many pins may hold one page at the same time.
inline constexpr std::uint64_t kMaxPinsOfPage = 65536;

/// Thread-safe. A pin is added with the map's lock held (shared or not) and before its first page is wired,
/// and asked for with the map's lock held exclusively, or with an amap's lock held through which the page is
/// shared: whoever replaces or drops pages either finds the pin, or is done before it looks at a page.
class PinTable {
 public:
  /// `written`, where there is one, is told of pins for writing that end.
  explicit PinTable(std::shared_ptr<WriteLog> written = nullptr) : written_(std::move(written)) {}

  /// Names a record for remove(). `ranges`: ascending and apart. Errors: NoMemory (over the space's limit, a
  /// page pinned too often).
  [[nodiscard]] Result<std::uint64_t> add(PinInfo pin, std::span<const GpaRange> ranges);
  void remove(std::uint64_t id);
  /// The pages of one are there. For statistics.
  void made(std::uint64_t id);

  /// Bytes that may be pinned at once; what is pinned stays so when it is more. Default: no limit.
  void set_limit(std::uint64_t bytes);

  /// Some pin that overlaps the range.
  [[nodiscard]] std::optional<PinInfo> overlapping(GpaRange range) const;
  /// All of them, oldest first; those of a scatter list a range each.
  [[nodiscard]] std::vector<PinInfo> list() const;
  /// The pages that somebody may be writing at this moment.
  void add_writable(PageSet& pages) const;
  /// Waits for a call that is under way.
  void pass() const { const MutexLock lock(lock_); }
  /// How many pins hold the page; the pinned parts of a range, ascending; their bytes.
  [[nodiscard]] std::uint64_t count_at(Gpa address) const;
  [[nodiscard]] std::vector<GpaRange> parts(GpaRange range) const;
  [[nodiscard]] std::uint64_t bytes(GpaRange range) const;
  [[nodiscard]] PinStatistics statistics() const;
  [[nodiscard]] std::uint64_t metadata_bytes() const;

 private:
  struct Record {
    PinInfo info;                // its range holds all of them
    std::vector<GpaRange> list;  // empty: the range of `info` is the only one
    [[nodiscard]] std::span<const GpaRange> ranges() const {
      return list.empty() ? std::span(&info.range, 1) : std::span(list);
    }
  };

  const std::shared_ptr<WriteLog> written_;
  mutable Mutex lock_{LockRank::Leaf};
  std::map<std::uint64_t, Record> pins_ GUARDED_BY(lock_);  // by id, which only grows
  CountedRanges counts_ GUARDED_BY(lock_);
  std::uint64_t next_ GUARDED_BY(lock_) = 0;
  std::uint64_t limit_ GUARDED_BY(lock_) = kNoPinLimit;
  std::uint64_t most_bytes_ GUARDED_BY(lock_) = 0;
  std::uint64_t made_ GUARDED_BY(lock_) = 0;
  std::chrono::nanoseconds spent_ GUARDED_BY(lock_){};
};

}  // namespace uvm
