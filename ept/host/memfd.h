// A file in memory without a name in any directory.
#pragma once

#include <cstdint>
#include <string_view>

#include "ept/host/fd.h"
#include "uvm/base/error.h"

namespace ept::host {

/// Sparse, `size` bytes, close-on-exec, and open to seals. `label` shows up in /proc/PID/maps. Errors:
/// NoMemory, System.
uvm::Result<UniqueFd> make_memfd(std::string_view label, std::uint64_t size);

}  // namespace ept::host
