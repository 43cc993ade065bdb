// An image that the guest sees as memory (virtio 1.2, 5.19), straight from the host's page cache.
//
// The file is an object of uvm, mapped for reading only, above RAM, in a range of its own that neither e820
// nor ACPI knows: the guest learns of it from this device. Guests of one file share its pages, and so does
// everybody else on the host; nothing is copied, saved in a snapshot or charged to a memory limit.
//
// Writes. The guest's memory there cannot be written: it is a read-only slot, and what a guest writes changes
// nothing, here or in the file. Linux has no flag for such a device, and lets root mount it for writing; a
// file system would find later that nothing was kept. So mount it with `-o ro,dax` (ext4 with a journal:
// `ro,noload`; erofs and squashfs need nothing). A flush, which only somebody who wrote has use for, answers
// EIO once the guest has tried to write, and success until then.
//
// The file is not to change while guests use it. Who cuts it takes pages away: an access to one ends the
// guest with a message that names file and offset, and never this process. Replacing it by renaming is
// harmless.
//
// A copy or a restored machine opens the file by its name again, and refuses one of another size.
//
// What it leaves out: writable images (VIRTIO_PMEM has no discard, and a snapshot would have to copy the
// file); devices in other processes (vhost-user, --vfio) cannot reach the range.
#pragma once

#include <cstdint>
#include <functional>

#include "vmm/virtio/local_device.h"
#include "vmm/virtio/pmem/image.h"

namespace vmm::virtio::pmem {

class Pmem final : public Service {
 public:
  /// `was_written`: whether the guest has tried to write the image; any thread.
  Pmem(uvm::Space& space, uvm::GpaRange range, std::function<bool()> was_written)
      : space_(space), range_(range), was_written_(std::move(was_written)) {}

  [[nodiscard]] DeviceType type() const override { return DeviceType::Pmem; }
  [[nodiscard]] std::uint64_t features() const override { return 0; }
  [[nodiscard]] unsigned queues() const override { return 1; }
  void read_config(std::uint64_t offset, std::span<std::byte> data) const override;
  [[nodiscard]] uvm::Status attach(const Thread& /*thread*/) override { return uvm::ok(); }
  void started(QueueSet& /*queues*/) override {}
  [[nodiscard]] uvm::Status serve(SplitQueue& queue) override;
  void drain(std::function<void()> done) override { done(); }
  void state(devices::StateFields& fields) override;

 private:
  /// Bytes written.
  [[nodiscard]] uvm::Result<std::uint32_t> answer(const Chain& chain);

  uvm::Space& space_;
  const uvm::GpaRange range_;
  const std::function<bool()> was_written_;
  Chain chain_;
};

}  // namespace vmm::virtio::pmem
