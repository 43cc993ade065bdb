// What a balloon has and what its guest tells, for people and scripts.
#pragma once

#include <string>

#include "vmm/virtio/balloon/balloon.h"

namespace vmm {

/// Members of a JSON object, with Firecracker's names; bytes but for what is called pages or mib. What the
/// guest does not tell is left out.
[[nodiscard]] std::string balloon_json(const virtio::balloon::Statistics& seen);

}  // namespace vmm
