// Disks: raw images and block devices of the host, as virtio block devices (virtio 1.2, 5.2).
//
// Read in this order: options.h, disk_image.h (the file: who may have it, and what it is like), geometry.h
// (what the guest is told), request.h (what it asks, out of bytes nobody trusts), engine.h (how a file is
// read and written, many requests at a time), guest_data.h (where the data lies meanwhile), and here the
// device that brings them together. disk_copy.h is what copies of the machine get.
//
// A turn
//   The driver notifies; all requests that wait in the queue are taken, at most kBatch; their data is lent
//   (pinned, or copied); they are started, sent with one system call, and those that were done on the way are
//   answered and shown to the driver at once. The others come back through the engine's eventfd, as many as
//   there are, in any order.
//
// What a guest can rely on
//   A write that was answered with OK is in the host's page cache: it outlives this process, not the host. A
//   flush that was answered with OK has brought every write answered before it to the host's storage. A
//   driver that has not taken VIRTIO_BLK_F_FLUSH cannot ask for that, so each of its writes goes to storage.
//   With Flush::Ignored none of this is promised, and no flush is offered.
//
// When the host's file fails
//   A file that was cut, a disk that is full or breaks: the request is answered with IOERR, and the machine
//   goes on, with one line in the log for many failures. The size that the guest was told stays as it was
//   when the machine began, whatever becomes of the file.
//
// Another image
//   The operator may put another file behind a disk while the guest runs (change_image), as a disc is
//   changed: what was asked for is done on the old one, the size is the new one's, and the driver is told to
//   look. The rest of what the guest was told stays, so a request that the new file cannot do is answered as
//   such.
//
// Copies of the machine
//   A copy never writes the image of its parent. A disk that is only read is the same for both: the copy has
//   the parent's open file, whatever is at that path by then. Of a disk that is written a fork gets its own,
//   as it is at that moment, in a file without a name: by a reflink, where the file system has them, which
//   takes no time; otherwise the fork is refused before anything stands still, unless the disk says
//   fork=copy, which copies what is not a hole while the machine stands still. A snapshot names the image by
//   its path and remembers its size and time; who restores it is warned when they are others. A checkpoint
//   keeps a copy of a disk that is written, made as a fork's is, and a reset writes that back into the image.
//
// What it leaves out
//   Secure erase, zoned devices, lifetime, changing the cache mode (CONFIG_WCE), image formats but raw.
//
// Locks: one thread does everything; the image and what the guest is told of it are behind a leaf lock,
// counters are atomic.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "uvm/base/lock.h"
#include "vmm/virtio/blk/counters.h"
#include "vmm/virtio/blk/disk_image.h"
#include "vmm/virtio/blk/engine.h"
#include "vmm/virtio/blk/guest_data.h"
#include "vmm/virtio/local_device.h"

namespace vmm::virtio::blk {

/// Best is io_uring where the host lets this process have it.
enum class EngineChoice : std::uint8_t { Best, Plain };

class Blk final : public Service {
 public:
  static constexpr std::size_t kBatch = 128;  // requests of one turn

  struct Parts {
    uvm::Space& space;
    std::shared_ptr<uvm::PinOwner> owner;
    std::shared_ptr<const DiskImage> image;
    std::uint16_t queues = 1;
    EngineChoice engine = EngineChoice::Best;
  };
  explicit Blk(Parts parts);

  [[nodiscard]] DeviceType type() const override { return DeviceType::Block; }
  [[nodiscard]] std::uint64_t features() const override { return features_of(geometry_); }
  [[nodiscard]] unsigned queues() const override { return geometry_.queues; }
  [[nodiscard]] std::uint16_t queue_limit() const override { return kQueueSize; }
  void read_config(std::uint64_t offset, std::span<std::byte> data) const override EXCLUDES(image_lock_);
  [[nodiscard]] uvm::Status attach(const Thread& thread) override;
  void started(QueueSet& queues) override;
  [[nodiscard]] uvm::Status serve(SplitQueue& queue) override;
  void drain(std::function<void()> done) override;
  void state(devices::StateFields& fields) override;

  /// On the device's thread, while it is at rest.
  void change_image(std::shared_ptr<const DiskImage> image) EXCLUDES(image_lock_);
  /// What is behind the disk now. Any thread.
  [[nodiscard]] std::shared_ptr<const DiskImage> image() const EXCLUDES(image_lock_);

  /// Outlives the device if somebody holds it.
  [[nodiscard]] std::shared_ptr<const Counters> counters() const { return counters_; }

 private:
  using Time = std::chrono::steady_clock::time_point;

  [[nodiscard]] uvm::Result<bool> take(SplitQueue& queue);
  void understand(Task& task);
  void understand_ranges(Task& task);
  void send();
  void wait_for_engine();
  void answer_finished();
  void start(Task& task);
  [[nodiscard]] bool goes_on(Task& task);
  [[nodiscard]] bool other_way(Task& task);
  void finish(Task& task);
  void answer(Task& task, RequestStatus status);
  void count(const Task& task, RequestStatus status);
  void tell(const Task& task);
  void check_stamp(const FileStamp& saved);

  uvm::Space& space_;
  mutable uvm::Mutex image_lock_{uvm::LockRank::Leaf};
  std::shared_ptr<const DiskImage> image_ GUARDED_BY(image_lock_);
  const Geometry geometry_;  // as the guest was told at first
  Limits limits_;
  Registers registers_ GUARDED_BY(image_lock_);
  const EngineChoice choice_;
  const std::shared_ptr<Counters> counters_ = std::make_shared<Counters>();
  GuestData data_;
  std::unique_ptr<Engine> engine_;
  std::optional<boost::asio::posix::stream_descriptor> finished_;  // of the engine; not by the plain one
  std::function<void()> config_changed_;

  QueueSet* queues_ = nullptr;   // since it was started
  bool flushes_itself_ = false;  // the driver cannot ask for it
  Chain chain_;
  std::vector<Task*> batch_;   // taken, not sent
  std::size_t under_way_ = 0;  // tasks that are taken and not answered
  std::vector<std::unique_ptr<Task>> tasks_;
  std::vector<Task*> idle_;
  std::vector<SplitQueue*> answered_;  // queues with answers that the driver has not been shown
  std::function<void()> drained_;

  int told_error_ = 0;  // the errno of the last failure in the log, and when
  Time told_at_;
};

}  // namespace vmm::virtio::blk
