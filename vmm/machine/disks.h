// The disks of a machine, and what becomes of them when it is copied. The rules: vmm/virtio/blk/blk.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/machine/machine_image.h"
#include "vmm/virtio/blk/blk.h"
#include "vmm/virtio/blk/disk_image.h"
#include "vmm/virtio/local_device.h"

namespace vmm {

/// Both are the machine's.
struct Disk {
  virtio::blk::Blk* disk = nullptr;
  virtio::LocalDevice* device = nullptr;

  [[nodiscard]] std::shared_ptr<const virtio::blk::DiskImage> image() const { return disk->image(); }
};

/// Why the machine is copied.
enum class DisksFor : std::uint8_t { Fork, Checkpoint, Snapshot };

/// Whether its disks allow that; before anything is paused. Errors: Unsupported, naming the disk and the way
/// out.
[[nodiscard]] uvm::Status check_disks(const Machine::Parts& parts, DisksFor purpose);

/// What a fork gets of them, as they are now, with all devices at rest. Errors: those of
/// virtio::blk::copy_disk().
[[nodiscard]] uvm::Result<std::vector<DiskFile>> copy_disks(const Machine::Parts& parts);

/// Puts the image at `path` behind the disk of that id, while the guest runs; the same image, if it has
/// grown. A fork needs its folder to be allowed. Errors: NotFound (no such disk), those of
/// virtio::blk::DiskImage::open(), Busy (the machine is being copied); the disk is as before.
[[nodiscard]] uvm::Status change_disk(const Machine::Parts& parts, const std::string& id,
                                      const std::string& path);

/// What is behind them now, as options.
[[nodiscard]] std::vector<virtio::blk::Options> disks_now(const Machine::Parts& parts);

/// As `options` say, or, if `image` brings a disk by that name, that one. Of a disk that is written it takes
/// one of its own, since others may have been made from the same image. Errors: those of
/// virtio::blk::DiskImage::open() and copy_disk().
[[nodiscard]] uvm::Result<std::shared_ptr<const virtio::blk::DiskImage>> open_disk(
    const virtio::blk::Options& options, const MachineImage* image);

}  // namespace vmm
