// Who holds what of a guest's memory, since when, and how much.
#pragma once

#include <string>

#include "uvm/space.h"

namespace vmm {

/// A line a pin, oldest first (at most 100, then how many more there are), and the sums; "nothing is pinned"
/// where there is none. Ends with a newline. Any thread.
[[nodiscard]] std::string format_pins(const uvm::Space& space);

}  // namespace vmm
