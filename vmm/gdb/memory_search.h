// Long reads of guest memory: looking for bytes, and checksums. Done here, so that a debugger need not fetch
// megabytes to look at them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "uvm/base/error.h"
#include "vmm/gdb/target.h"

namespace vmm::gdb {

/// [begin, begin + bytes) of `space`; cut at the end of the address space.
struct MemoryStretch {
  AddressSpace space;
  std::uint64_t begin = 0;
  std::uint64_t bytes = 0;
};

/// Asked between chunks of a mebibyte or so; true ends the work with Busy.
using Cancelled = std::function<bool()>;

/// The first address in `where` at which `pattern` lies whole; nothing when it doesn't. An unreadable byte
/// before that is the target's Error. Invalid: an empty pattern.
[[nodiscard]] uvm::Result<std::optional<std::uint64_t>> search_memory(Target& target,
                                                                      const MemoryStretch& where,
                                                                      std::span<const std::byte> pattern,
                                                                      const Cancelled& cancelled);

/// gdb's CRC-32 (polynomial 0x04c11db7, all ones at the start, most significant bit first, not inverted at
/// the end). Any unreadable byte is the target's Error.
[[nodiscard]] uvm::Result<std::uint32_t> crc_memory(Target& target, const MemoryStretch& where,
                                                    const Cancelled& cancelled);

}  // namespace vmm::gdb
