// Counters of the fault path: which case of the decision table resolved how many faults.
#pragma once

#include <atomic>
#include <cstdint>

namespace uvm {

/// One look at the counters; each is exact, together they are not one instant. Names as in the table of
/// fault_plan.h.
struct FaultStatistics {
  std::uint64_t faults = 0;         // calls of Space::fault, good and bad
  std::uint64_t already = 0;        // the translation was there: another thread was first
  std::uint64_t anon = 0;           // 1A: a private page, used as it is
  std::uint64_t anon_copied = 0;    // 1B: a private page others hold too, copied
  std::uint64_t object = 0;         // 2A: the object's page
  std::uint64_t object_copied = 0;  // 2B: the object's page, copied
  std::uint64_t zero_filled = 0;    // 2B: no object: zeros
  std::uint64_t paged_in = 0;       // pages brought back from swap
  std::uint64_t left_to_host = 0;   // of 1A, 2A and 2B: a range was entered and the host does the rest
  std::uint64_t pages_entered = 0;  // pages given a translation, run by run
  std::uint64_t clusters = 0;       // runs of more than one page entered by one fault
  std::uint64_t amap_copies = 0;    // needs_copy resolved
  std::uint64_t restarts = 0;       // the map changed while the pager was asked
  std::uint64_t peeks = 0;          // pages a debugger read; not counted as a case above
  std::uint64_t pokes = 0;          // pages a debugger wrote; counted as a case above, too
  std::uint64_t reshared = 0;       // private copies given up for the page they were made from
  std::uint64_t discarded = 0;      // pages given back, whether they were there or not
  std::uint64_t refused = 0;        // faults that ended in an error
};

/// The private pages in place of a space, measured now. What the host broke copy-on-write for or filled with
/// zeros by itself nobody counts as it happens; it is the difference.
struct InPlacePages {
  std::uint64_t pages = 0;   // there are
  std::uint64_t by_uvm = 0;  // made by faults of uvm's since the space began; some may be gone again
  [[nodiscard]] std::uint64_t by_host() const { return pages > by_uvm ? pages - by_uvm : 0; }  // at least
};

/// The live counters. Thread-safe; relaxed, because nothing is decided by them.
struct FaultCounters {
  std::atomic<std::uint64_t> faults{0};
  std::atomic<std::uint64_t> already{0};
  std::atomic<std::uint64_t> anon{0};
  std::atomic<std::uint64_t> anon_copied{0};
  std::atomic<std::uint64_t> object{0};
  std::atomic<std::uint64_t> object_copied{0};
  std::atomic<std::uint64_t> zero_filled{0};
  std::atomic<std::uint64_t> paged_in{0};
  std::atomic<std::uint64_t> left_to_host{0};
  std::atomic<std::uint64_t> pages_entered{0};
  std::atomic<std::uint64_t> clusters{0};
  std::atomic<std::uint64_t> amap_copies{0};
  std::atomic<std::uint64_t> restarts{0};
  std::atomic<std::uint64_t> made_in_place{0};
  std::atomic<std::uint64_t> peeks{0};
  std::atomic<std::uint64_t> pokes{0};
  std::atomic<std::uint64_t> reshared{0};
  std::atomic<std::uint64_t> discarded{0};
  std::atomic<std::uint64_t> refused{0};

  [[nodiscard]] FaultStatistics snapshot() const;
};

/// Adds without ordering anything.
inline void count(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) {
  counter.fetch_add(by, std::memory_order_relaxed);
}

}  // namespace uvm
