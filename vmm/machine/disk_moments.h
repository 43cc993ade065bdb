// The disks of a machine at a checkpoint, and how they become that again. The rules: vmm/virtio/blk/blk.h.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/kvm/fd.h"
#include "vmm/machine/machine.h"
#include "vmm/virtio/blk/disk_image.h"

namespace vmm {

struct DiskMoment {
  std::shared_ptr<const virtio::blk::DiskImage> image;
  virtio::blk::FileStamp stamp;
  Fd copy;  // of one that the guest writes
};

/// As they are now, with all devices at rest. Errors: those of virtio::blk::copy_disk().
[[nodiscard]] uvm::Result<std::vector<DiskMoment>> remember_disks(const Machine::Parts& parts);

/// Whether the machine's disks can become that: each has the image it had. Errors: Unsupported, naming the
/// disk.
[[nodiscard]] uvm::Status check_moments(const Machine::Parts& parts, std::span<const DiskMoment> moments);

/// They are that again, with all devices at rest. Errors: those of virtio::blk::put_back().
[[nodiscard]] uvm::Status put_back_disks(std::span<const DiskMoment> moments);

}  // namespace vmm
