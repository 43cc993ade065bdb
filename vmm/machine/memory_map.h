// The space of a guest as pmap(1) shows a process.
#pragma once

#include <string>

#include "uvm/space.h"

namespace vmm {

/// One line a mapping and a total of what is memory: range, size, rights (now/most), name, object, how writes
/// behave (mmio: a device, without memory), and the
/// bytes resident, private, shared and wired, with the host's page sizes. Measures residency at the host, so
/// it takes milliseconds for a large guest. Who has pinned what follows, if anybody has. Ends with a newline.
/// Any thread.
[[nodiscard]] std::string format_memory_map(uvm::Space& space);

/// How writes behave: "mmio" (to a device), "shared" (to the object), "copy-on-write" (to a copy of its
/// page), "zero-fill" (to memory of the mapping's own).
[[nodiscard]] const char* kind_of(const uvm::EntryInfo& entry);

/// "0", "4K", "1.5M", "64G": bytes for people, at most one decimal.
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);

}  // namespace vmm
