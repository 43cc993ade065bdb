#include "vmm/machine/disk_moments.h"

#include <utility>

#include "vmm/machine/parts.h"
#include "vmm/virtio/blk/disk_copy.h"

namespace vmm {

namespace blk = virtio::blk;

uvm::Result<std::vector<DiskMoment>> remember_disks(const Machine::Parts& parts) {
  std::vector<DiskMoment> moments;
  for (const Disk& disk : parts.disks) {
    DiskMoment moment{disk.image(), {}, {}};
    UVMM_TRY(moment.stamp, moment.image->stamp());
    if (moment.image->options().access == blk::DiskAccess::ReadWrite) {
      UVMM_TRY(moment.copy, blk::copy_disk(*moment.image));
    }
    moments.push_back(std::move(moment));
  }
  return moments;
}

uvm::Status check_moments(const Machine::Parts& parts, std::span<const DiskMoment> moments) {
  for (std::size_t i = 0; i < moments.size(); ++i) {
    if (parts.disks[i].image() == moments[i].image) continue;
    return uvm::Error(uvm::ErrorKind::Unsupported,
                      "disk " + moments[i].image->options().id + " got another image after the checkpoint",
                      "take a new checkpoint");
  }
  return uvm::ok();
}

uvm::Status put_back_disks(std::span<const DiskMoment> moments) {
  for (const DiskMoment& moment : moments) {
    if (moment.copy) UVMM_CHECK(blk::put_back(*moment.image, moment.copy, moment.stamp));
  }
  return uvm::ok();
}

}  // namespace vmm
