// What a memory limit did so far.
#pragma once

#include <cstdint>

namespace uvm {

/// One look; the sums are in bytes, the counts in pages since the limit was set.
struct ReclaimStatistics {
  std::uint64_t limit = 0;        // bytes; 0: there is none
  std::uint64_t resident = 0;     // bytes of private pages in memory
  std::uint64_t active = 0;       // of these: in use lately
  std::uint64_t inactive = 0;     // of these: hidden, next to go
  std::uint64_t reserved = 0;     // bytes that faults are about to make
  std::uint64_t swapped = 0;      // bytes in swap that the space shows
  std::uint64_t outs = 0;         // pages written to swap
  std::uint64_t ins = 0;          // pages read from swap
  std::uint64_t zeros = 0;        // pages that went without a write, being zeros
  std::uint64_t refaults = 0;     // clusters that were missed while hidden
  std::uint64_t direct = 0;       // faults that had to reclaim for themselves
  std::uint64_t failed_outs = 0;  // clusters whose write failed: they are still in memory
  std::uint64_t failed_ins = 0;   // reads that failed: the pages are still in swap
};

}  // namespace uvm
