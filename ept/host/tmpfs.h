// A private tmpfs whose files get pages of 2 MiB, whatever the system-wide setting says.
#pragma once

#include <cstdint>

#include "ept/host/fd.h"
#include "uvm/base/error.h"

namespace ept::host {

/// The root of the process's tmpfs, which is attached nowhere; made by the first call, and there until the
/// process ends and nobody has a file of it any more. Any thread. Needs CAP_SYS_ADMIN and Linux 5.2, so who
/// is going to give up rights calls it before. Errors: Permission, Unsupported, NoMemory.
[[nodiscard]] uvm::Result<int> huge_files_root();

/// A nameless file of `size` bytes (sparse) there. Any thread. Errors: those of huge_files_root().
[[nodiscard]] uvm::Result<UniqueFd> make_huge_file(std::uint64_t size);

}  // namespace ept::host
