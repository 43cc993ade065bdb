// A file descriptor with one owner, under vmm's name for it.
#pragma once

#include "ept/host/fd.h"

namespace vmm {

using Fd = ept::host::UniqueFd;

}  // namespace vmm
