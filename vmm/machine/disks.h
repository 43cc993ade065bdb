// The disks of a machine, and what becomes of them when it is copied. The rules: vmm/virtio/blk/blk.h.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/machine/machine_image.h"
#include "vmm/virtio/blk/counters.h"
#include "vmm/virtio/blk/disk_image.h"

namespace vmm {

struct Disk {
  std::shared_ptr<const virtio::blk::DiskImage> image;
  std::shared_ptr<const virtio::blk::Counters> counters;
};

/// Why the machine is copied.
enum class DisksFor : std::uint8_t { Fork, Checkpoint, Snapshot };

/// Whether its disks allow that; before anything is paused. Errors: Unsupported, naming the disk and the way
/// out.
[[nodiscard]] uvm::Status check_disks(const Machine::Parts& parts, DisksFor purpose);

/// What a fork gets of them, as they are now, with all devices at rest. Errors: those of
/// virtio::blk::copy_disk().
[[nodiscard]] uvm::Result<std::vector<DiskFile>> copy_disks(const Machine::Parts& parts);

/// As `options` say, or, if `image` brings a disk by that name, that one. Of a disk that is written it takes
/// one of its own, since others may have been made from the same image. Errors: those of
/// virtio::blk::DiskImage::open() and copy_disk().
[[nodiscard]] uvm::Result<std::shared_ptr<const virtio::blk::DiskImage>> open_disk(
    const virtio::blk::Options& options, const MachineImage* image);

}  // namespace vmm
