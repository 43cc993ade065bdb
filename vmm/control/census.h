// What one guest costs in host memory beside all others that run here, as its own process finds out: by
// asking them, each at its control socket.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "vmm/machine/memory_shares.h"
#include "vmm/machine/resident_pages.h"
#include "vmm/metrics.h"

namespace vmm::control {

struct Census {
  MemoryShare own;
  HeldObjects objects;     // that it keeps alive itself
  std::size_t guests = 1;  // that were counted, this one among them
  std::size_t silent = 0;  // that did not answer in time: what is shared with them counts as if it were not
};

/// How long guests may take to answer.
struct CensusPatience {
  std::chrono::milliseconds each{1000};
  std::chrono::milliseconds all{2000};
};

/// `own`: what this process's machine has in memory. Those are asked whose sockets are in the run directory,
/// one after the other; who is not asked because time is up is silent, and one that has ended meanwhile is no
/// guest. Any thread that may connect to sockets, and on which no other machine waits for an answer. Errors:
/// those of `own`.
[[nodiscard]] uvm::Result<Census> take_census(const uvm::Result<ResidentPages>& own,
                                              const CensusPatience& patience = {});

/// For those who read a census again and again, as what scrapes metrics does: with N guests each scrape of
/// all would ask N * N times. Thread-safe; two that come at once may both take one.
class RecentCensus {
 public:
  using Take = std::function<uvm::Result<Census>()>;
  /// One is given again until it is `kept` old.
  RecentCensus(Take take, std::chrono::steady_clock::duration kept) : take_(std::move(take)), kept_(kept) {}
  /// Errors: those of `take`, which are not kept.
  [[nodiscard]] uvm::Result<Census> get();

 private:
  struct Taken {
    Census census;
    std::chrono::steady_clock::time_point when;
  };
  const Take take_;
  const std::chrono::steady_clock::duration kept_;
  uvm::Mutex mutex_{uvm::LockRank::Leaf};  // nothing else is done under it
  std::optional<Taken> last_ GUARDED_BY(mutex_);
};

/// Lines for people.
[[nodiscard]] std::string format_census(const Census& census);

/// uvmm_memory_share_bytes and its like; nothing of a census that failed.
void add_census_metrics(const uvm::Result<Census>& census, MetricWriter& writer);

}  // namespace vmm::control
