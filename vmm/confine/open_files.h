// The regular files that this process has open, those without a name included.
#pragma once

#include <sys/stat.h>

#include <functional>

#include "uvm/base/error.h"

namespace vmm::confine {

using OpenFile = std::function<uvm::Status(int fd, const struct stat& info)>;

/// Until one is an error, which is the answer. Errors: NotFound (no /proc), System, and those of `each`.
[[nodiscard]] uvm::Status for_each_open_file(const OpenFile& each);

}  // namespace vmm::confine
