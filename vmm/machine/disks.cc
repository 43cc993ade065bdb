#include "vmm/machine/disks.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "vmm/machine/parts.h"
#include "vmm/virtio/blk/disk_copy.h"

namespace vmm {

namespace blk = virtio::blk;

namespace {

bool is_written(const blk::DiskImage& image) {
  return image.options().access == blk::DiskAccess::ReadWrite;
}

uvm::Error refused(const blk::DiskImage& image, const std::string& why, const std::string& way_out) {
  return {uvm::ErrorKind::Unsupported, "disk " + image.options().id + " " + why, way_out};
}

uvm::Status check(const blk::DiskImage& image, DisksFor purpose) {
  if (!is_written(image)) return uvm::ok();
  switch (purpose) {
    case DisksFor::Fork:
    case DisksFor::Checkpoint:
      return blk::check_copy(image);
    case DisksFor::Snapshot:
      if (image.has_name()) return uvm::ok();
      return refused(image, "is this fork's own and has no name that a snapshot could tell",
                     "snapshot the machine it was forked from, or let the guest only read it (,ro)");
  }
  return uvm::ok();
}

}  // namespace

uvm::Status check_disks(const Machine::Parts& parts, DisksFor purpose) {
  for (const Disk& disk : parts.disks) UVMM_CHECK(check(*disk.image(), purpose));
  return uvm::ok();
}

uvm::Result<std::vector<DiskFile>> copy_disks(const Machine::Parts& parts) {
  std::vector<DiskFile> files;
  for (const Disk& disk : parts.disks) {
    const auto image = disk.image();
    const std::string& id = image->options().id;
    if (is_written(*image)) {
      UVMM_TRY(Fd copy, blk::copy_disk(*image));
      files.push_back({id, std::make_shared<const Fd>(std::move(copy))});
    } else {
      UVMM_TRY(Fd same, image->same_file());
      files.push_back({id, std::make_shared<const Fd>(std::move(same))});
    }
  }
  return files;
}

uvm::Status change_disk(const Machine::Parts& parts, const std::string& id, const std::string& path) {
  const auto named = [&](const Disk& disk) { return disk.image()->options().id == id; };
  const auto found = std::ranges::find_if(parts.disks, named);
  if (found == parts.disks.end()) {
    return uvm::Error(uvm::ErrorKind::NotFound, "the machine has no disk " + id);
  }
  const auto old = found->image();
  blk::Options options = old->options();
  options.path = path;
  // Its own file cannot be had a second time, and is named again when it has grown.
  UVMM_TRY(auto image, old->is_at(path) ? old->again() : blk::DiskImage::open(options));
  return found->device->work_at_rest([&] { found->disk->change_image(std::move(image)); });
}

std::vector<blk::Options> disks_now(const Machine::Parts& parts) {
  std::vector<blk::Options> all;
  for (const Disk& disk : parts.disks) all.push_back(disk.image()->options());
  return all;
}

uvm::Result<std::shared_ptr<const blk::DiskImage>> open_disk(const blk::Options& options,
                                                             const MachineImage* image) {
  if (image != nullptr) {
    const auto file = std::ranges::find(image->disks, options.id, &DiskFile::id);
    if (file != image->disks.end()) {
      Fd fd(::fcntl(file->fd->get(), F_DUPFD_CLOEXEC, 0));
      if (!fd) return uvm::Error::from_errno(errno, "disk " + options.id + ": dup");
      UVMM_TRY(auto left, blk::DiskImage::adopt(options, std::move(fd)));
      if (!is_written(*left)) return left;
      UVMM_TRY(Fd own, blk::copy_disk(*left));
      return blk::DiskImage::adopt(options, std::move(own));
    }
  }
  return blk::DiskImage::open(options);
}

}  // namespace vmm
