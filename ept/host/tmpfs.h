// A private tmpfs whose files get pages of 2 MiB, whatever the system-wide setting says.
#pragma once

#include <cstdint>

#include "ept/host/fd.h"
#include "uvm/base/error.h"

namespace ept::host {

/// A nameless file of `size` bytes (sparse) on a mount of its own that is attached nowhere; the mount lives
/// as long as the file. Needs CAP_SYS_ADMIN and Linux 5.2. Errors: Permission, Unsupported, NoMemory.
uvm::Result<UniqueFd> make_huge_file(std::uint64_t size);

}  // namespace ept::host
