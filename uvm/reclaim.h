// Reclaim: how a space lives within a memory limit (NetBSD's page daemon and swap, uvm_pdaemon.c, uvm_swap.c,
// as a policy without a thread).
//
// WHAT COUNTS. Without a limit the host fills zeros and breaks copies by itself, and nobody counts. A space
// with a limit is told of every private page before it exists: its memory is entered as Fill::Present, an
// absent page is an event, and the fault that makes pages first takes room for them (a Room) from what the
// limit leaves. So the limit is kept, not chased. A page counts when a mapping of the space shows it and it
// is private: made in place, or an anon. One that a fork left in common counts in each space that shows it,
// and goes from each by itself. The pages of objects (files, read-only images) are the host's cache and do
// not count.
//
// WHICH PAGES GO. The host gives no accessed bits for a guest. So the oldest active clusters are hidden
// (their translations go, their bytes stay) and wait in the inactive queue: an access to one of them is a
// fault that costs no input and makes it active again, the second chance. Whoever gets to the front of the
// inactive queue unused goes out. The inactive queue is kept at a third of what is in memory, as in NetBSD.
//
// GOING OUT (page_out.h). Under the locks: the slots become busy, the translations go. Without any lock: all
// vCPUs flushed, bytes read, zeros found (they need no swap), the rest written as one run of slots. Under the
// locks again: whatever is still what it was becomes an anon that names its swap slot, and the page is freed.
// Faults on a busy slot wait. A write that fails leaves everything as it was.
//
// COMING BACK (page_in.h). An anon in swap never changes: a fault reads it, and its neighbours in swap, into
// new pages of the faulting space, and lets go of it; the slot is free when the last holder did. So a fork
// shares what is in swap by reference, and each side reads its own copy. Clean copies are not kept: to know
// that a page stays clean would cost an event for its first write, more than writing it again.
//
// NOBODY LOSES A BYTE. A read that fails is PagerIo for the access that wanted it, never zeros; the slot
// stays, and a later try may succeed. A write that fails, or a full swap, is kept as the last failure; when
// nothing else can go either, the one who needs a page gets NoMemory, with the numbers and the way out.
//
// WHO CALLS. A fault without room reclaims by itself, outside all locks, a batch at a time; a thread of the
// machine's calls Space::reclaim() when `low` told it to, so that faults rarely have to. Both at once are
// fine, and so are several of each. One that finds nothing waits for those who are at it before it gives up,
// holding no room itself.
//
// WHAT STAYS IN MEMORY: pinned pages, what an Access has open, and memory that several spaces see each
// other's writes in. It refuses a limit for writable shared mappings of objects (Unsupported): their pages
// are not private to the space, so nobody can say whose they are.
//
// LOCKS. The queues and sums are under one leaf lock, taken by events only (an access that has its
// translation comes nowhere near it) and never across a pmap call or I/O.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "uvm/base/range.h"
#include "uvm/map.h"
#include "uvm/page_queue.h"
#include "uvm/pmap.h"
#include "uvm/reclaim_statistics.h"
#include "uvm/swap.h"

namespace uvm {

class OpenRanges;
class PinTable;
class Reclaim;

/// The least a limit can be: bytes. A fault may need a cluster, and what it makes must not be all there is.
inline constexpr std::uint64_t kLeastMemoryLimit = 4 * kClusterBytes;

struct MemoryLimit {
  std::uint64_t bytes = 0;  // of private memory; at least kLeastMemoryLimit
  Swap* swap = nullptr;     // not owned, outlives the space and its forks; null: only zeros can go
  /// Called when less than a sixteenth is left, by whoever took the last page, with locks held: wake a thread
  /// that calls Space::reclaim(), and nothing more.
  std::function<void()> low;
};

/// Pages that somebody may make. Comes from Reclaim; what is not used goes back at its end.
class Room {
 public:
  explicit Room(Reclaim& reclaim) : reclaim_(reclaim) {}
  ~Room() { give_back(); }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  void give_back();

 private:
  friend class Reclaim;
  Reclaim& reclaim_;
  std::uint64_t pages_ = 0;
};

/// The account and the queues of one space. Thread-safe.
class Reclaim {
 public:
  /// What it works on; all of it outlives it.
  struct Memory {
    const std::string& space;  // its name, for errors
    Map& map;
    Pmap& pmap;
    const PinTable& pins;
    const OpenRanges& open;
  };
  explicit Reclaim(const Memory& memory) : memory_(memory) {}
  Reclaim(const Reclaim&) = delete;
  Reclaim& operator=(const Reclaim&) = delete;

  /// Whether set_limit() would take it. Errors: Invalid.
  [[nodiscard]] Status check(const MemoryLimit& limit) const;
  /// Sets or changes the limit, which has been checked. With the map's lock held exclusively; a fault finds
  /// it in force or not under the shared one. The pages that are there already have been counted by add().
  void set_limit(const MemoryLimit& limit);
  [[nodiscard]] bool is_limited() const { return is_limited_; }

  // ---- for faults, with the map's lock held (shared) and the amap's
  // ----------------------------------------

  /// Makes `room` hold those pages of the range that are not counted yet, without waiting; false: not enough
  /// is left.
  [[nodiscard]] bool take(Room& room, GpaRange range);
  /// These pages are in memory and in use; those that are new are taken from `room`.
  void add(GpaRange range, Room& room);
  /// They are not in memory any more.
  void remove(GpaRange range);
  /// A page was found in memory without translation.
  void use(Gpa page);
  /// What to read with `page`, which is in swap: its cluster, and when memory is used in order the next ones.
  [[nodiscard]] GpaRange read_ahead(Gpa page) const;
  /// Whether zeros should be made ahead of `page`: there is plenty, or the page before it is there.
  [[nodiscard]] bool looks_ahead(Gpa page) const;

  // ---- without any lock
  // -------------------------------------------------------------------------------------

  /// Makes `room` hold that many pages, reclaiming as needed. Errors: NoMemory (limit, what is in memory and
  /// pinned, and why nothing can go).
  [[nodiscard]] Status make_room(Room& room, std::uint64_t pages);
  /// Reclaims up to that many pages and says how many went. Errors: those of swap, when none could go.
  [[nodiscard]] Result<std::uint64_t> reclaim(std::uint64_t pages);
  /// Whether that many bytes may be pinned in all. Errors: NoMemory.
  [[nodiscard]] Status check_pins(GpaRange range, std::uint64_t bytes) const;

  /// Swap-in is done by faults: they tell.
  void count_in(const Status& status, std::uint64_t pages);
  /// Without `swapped`, which the amaps know.
  [[nodiscard]] ReclaimStatistics statistics() const;
  [[nodiscard]] std::optional<Error> last_failure() const;
  [[nodiscard]] std::uint64_t metadata_bytes() const;

 private:
  friend class Room;

  void give_back(Room& room);
  [[nodiscard]] bool take_locked(Room& room, std::uint64_t pages) REQUIRES(lock_);
  [[nodiscard]] Result<std::uint64_t> pass(std::uint64_t pages);
  [[nodiscard]] Result<std::uint64_t> page_out(GpaRange cluster, Swap* swap);
  /// Hides active clusters, a few at a time, until enough are inactive.
  void fill_inactive();
  /// False: the cluster has to stay in view.
  [[nodiscard]] bool hide(GpaRange cluster);
  [[nodiscard]] Error exhausted(std::uint64_t pages, std::uint64_t pinned,
                                const std::optional<Error>& why) const REQUIRES(lock_);

  const Memory memory_;
  std::atomic<bool> is_limited_{false};
  mutable Mutex lock_{LockRank::Leaf};
  std::condition_variable_any changed_;  // room may have come free
  MemoryLimit limit_ GUARDED_BY(lock_);
  PageQueue queue_ GUARDED_BY(lock_);
  std::uint64_t resident_ GUARDED_BY(lock_) = 0;   // pages
  std::uint64_t reserved_ GUARDED_BY(lock_) = 0;   // pages in Rooms
  std::uint64_t in_flight_ GUARDED_BY(lock_) = 0;  // clusters that are going out now
  bool told_low_ GUARDED_BY(lock_) = false;
  ReclaimStatistics counts_ GUARDED_BY(lock_);
  std::optional<Error> last_failure_ GUARDED_BY(lock_);
};

}  // namespace uvm
