// A long range in pieces, so that whoever needs a lock that each piece takes waits for one piece only.
#pragma once

#include <algorithm>
#include <cstdint>

#include "uvm/base/error.h"
#include "uvm/base/range.h"

namespace vmm {

inline constexpr std::uint64_t kMemoryChunk = std::uint64_t{1} << 20;

/// Calls `use` with the parts of a range, ascending, each at most kMemoryChunk long, until one fails.
template <class F>
uvm::Status in_chunks(uvm::GpaRange range, F&& use) {
  while (!range.empty()) {
    const uvm::GpaRange part = range.before(range.begin() + std::min(kMemoryChunk, range.size()));
    UVMM_CHECK(use(part));
    range = range.from(part.end());
  }
  return uvm::ok();
}

}  // namespace vmm
