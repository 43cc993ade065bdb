// A disk of one's own, as another is at this moment, for forks; and one that becomes what it was, for
// checkpoints.
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

/// The image holds what `copy` holds, which copy_disk() made of it, has its size, and the time `then`: nobody
/// sees that it has been something else meanwhile. By a reflink, or by writing all that is no hole. Nobody
/// else writes the image. Errors: System, NoMemory (the disk is full); a part may have been put back.
[[nodiscard]] uvm::Status put_back(const DiskImage& image, const Fd& copy, const FileStamp& then);

}  // namespace vmm::virtio::blk
