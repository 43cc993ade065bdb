// A file in memory without a name in any directory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ept/host/fd.h"
#include "uvm/base/error.h"

namespace ept::host {

/// Sparse, `size` bytes, close-on-exec, and open to seals. `label` shows up in /proc/PID/maps. Errors:
/// NoMemory, System.
uvm::Result<UniqueFd> make_memfd(std::string_view label, std::uint64_t size);

/// Writes all of `bytes` to a file, from byte `offset` on. `what` heads the error. Errors:
/// NoMemory.
[[nodiscard]] uvm::Status write_memory(int fd, std::uint64_t offset, std::span<const std::byte> bytes,
                                       std::string_view what);

}  // namespace ept::host
