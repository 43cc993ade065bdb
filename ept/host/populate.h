// Pages made at once, without anybody's touching them.
#pragma once

#include <cstddef>
#include <span>

#include "uvm/base/error.h"
#include "uvm/base/range.h"

namespace ept::host {

/// Makes the pages of a mapping present and writable, as a write to each would; `range` is what they are to
/// the guest, for errors. Errors: PagerIo (the host's memory is broken there, or its file ends before it),
/// Invalid (not writable), NoMemory.
[[nodiscard]] uvm::Status populate(std::span<std::byte> pages, uvm::GpaRange range);

}  // namespace ept::host
