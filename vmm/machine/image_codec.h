// A machine's image on its way to another process, or into a file: its state with the layout of its memory,
// and the objects that hold the memory.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/machine/machine_image.h"

namespace vmm {

struct EncodedImage {
  std::vector<std::byte> description;           // sections: the state's, and "memory"
  std::vector<snapshot::MemoryObject> objects;  // in the order the description counts them
};

[[nodiscard]] EncodedImage encode(const MachineImage& image);

/// Errors: Invalid (see snapshot::SectionTable and ImageLayout; a number of objects that is not the
/// description's).
[[nodiscard]] uvm::Result<MachineImage> decode(std::span<const std::byte> description,
                                               std::span<const snapshot::MemoryObject> objects);

}  // namespace vmm
