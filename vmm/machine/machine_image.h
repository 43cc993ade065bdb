// A whole machine at one moment: what forks, checkpoints and snapshots are made of.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/kvm/fd.h"
#include "vmm/machine/machine.h"
#include "vmm/snapshot/memory_image.h"

namespace vmm {

/// A disk that goes with an image: the open file that the copy has in place of one by that name.
struct DiskFile {
  std::string id;
  std::shared_ptr<const Fd> fd;
};

/// A value. Another machine made from it (MachineConfig of the same shape, see MachineShape::applied_to) goes
/// on where this one was.
struct MachineImage {
  std::vector<std::byte> state;
  snapshot::MemoryImage memory;
  std::vector<DiskFile> disks;        // of a fork; empty: disks are opened by their paths
  std::chrono::nanoseconds paused{};  // how long the vCPUs stood still for it
};

/// Pauses the vCPUs for it. Any thread but a vCPU's. Errors: Unsupported (a device that can't be taken along;
/// said before anything is paused), Pinned, NoMemory, the kernel's; the machine goes on. With
/// `at_the_moment`, its errors too: it is called when all is copied and the vCPUs still stand.
[[nodiscard]] uvm::Result<MachineImage> take_image(Machine::Parts& parts,
                                                   const std::function<uvm::Status()>& at_the_moment = {});

}  // namespace vmm
