// Where a machine comes from: what that means for what its devices have on the host.
#pragma once

#include <cstdint>

namespace vmm::virtio {

enum class Origin : std::uint8_t {
  New,       // what its configuration names must be there
  Restored,  // it goes on from a snapshot: what is named may be gone, or another's by now
  Forked,    // it goes on beside the machine that it is a copy of, which has what is named
};

}  // namespace vmm::virtio
