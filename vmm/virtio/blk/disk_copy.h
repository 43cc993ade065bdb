// A disk of one's own, as another is at this moment: for forks.
#pragma once

#include "uvm/base/error.h"
#include "vmm/kvm/fd.h"
#include "vmm/virtio/blk/disk_image.h"

namespace vmm::virtio::blk {

/// Whether copy_disk() can be expected to work, which is tried. Errors: Unsupported, with the way out.
[[nodiscard]] uvm::Status check_copy(const DiskImage& image);

/// A file without a name in the image's folder that holds what the image holds: a reflink where the file
/// system has them, which shares all blocks until one of both is written; else, if its options say
/// ForkCopy::Bytes, a copy of what is not a hole. Nobody writes the image meanwhile. Errors: Unsupported (no
/// reflinks, or a block device), System, NoMemory (the disk is full).
[[nodiscard]] uvm::Result<Fd> copy_disk(const DiskImage& image);

}  // namespace vmm::virtio::blk
