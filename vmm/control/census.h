// What one guest costs in host memory beside all others that run here, as its own process finds out: by
// asking them, each at its control socket.
#pragma once

#include <cstddef>
#include <string>

#include "uvm/base/error.h"
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

/// `own`: what this process's machine has in memory. Those are asked whose sockets are in the run directory,
/// one after the other, a second each at most; one that has ended meanwhile is no guest. Any thread that may
/// connect to sockets, and on which no other machine waits for an answer. Errors: those of `own`.
[[nodiscard]] uvm::Result<Census> take_census(const uvm::Result<ResidentPages>& own);

/// Lines for people.
[[nodiscard]] std::string format_census(const Census& census);

/// uvmm_memory_share_bytes and its like; nothing of a census that failed.
void add_census_metrics(const uvm::Result<Census>& census, MetricWriter& writer);

}  // namespace vmm::control
