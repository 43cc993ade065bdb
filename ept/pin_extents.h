// A pin as other processes can use it: places in files.
#pragma once

#include <cstdint>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/range.h"
#include "uvm/pin.h"

namespace ept {

/// A part of a pin whose pages follow each other in one file. Whoever maps [offset, offset + range.size()) of
/// the file shared has the pinned bytes, for as long as the pin lives, at the price of memory.
struct PinExtent {
  uvm::GpaRange range;
  int fd = -1;               // the store's, and open as long as the pin lives
  std::uint64_t offset = 0;  // bytes
};

/// All of the pin, range by range as it was asked for; ascending inside each. The pin must have been made
/// with Placement::Shareable. Errors: Unsupported (a page of it is usable in this process only).
[[nodiscard]] uvm::Result<std::vector<PinExtent>> extents_of(const uvm::Pin& pin);

}  // namespace ept
