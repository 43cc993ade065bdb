// The queues of a device whose back end has gone: every request in them gets an error.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/vhost_user/options.h"
#include "vmm/vhost_user/unfinished.h"
#include "vmm/virtio/device.h"
#include "vmm/virtio/split_queue.h"

namespace vmm::vhost_user {

/// Goes on where a back end that touches them no more has left them. Requests that come are answered at once;
/// those that were out, as soon as it is certain which they are. Rings are pinned only meanwhile. Not
/// thread-safe: the device's thread.
class FailedQueues {
 public:
  using Surroundings = virtio::SplitQueue::Surroundings;

  /// Takes the queues over as they lie in memory; serve() each once after this. One whose rings cannot be
  /// read is left as it is.
  FailedQueues(Surroundings around, Kind kind, const virtio::Activation& activation);

  [[nodiscard]] std::size_t size() const { return queues_.size(); }
  /// Of the driver's notifications for one of them.
  [[nodiscard]] const Fd& kick(std::size_t at) const { return *queues_[at].queue.kick; }
  /// Answers what there is. Errors: those of the ring, which is not served any more then.
  [[nodiscard]] uvm::Status serve(std::size_t at);
  /// Requests without an answer, of all queues.
  [[nodiscard]] std::size_t unanswered() const;

 private:
  struct FailedQueue {
    virtio::Queue queue;
    virtio::QueuePosition position;
    Unfinished unfinished;
    bool broken = false;
  };
  [[nodiscard]] uvm::Result<FailedQueue> take_over(const virtio::Queue& queue) const;
  [[nodiscard]] uvm::Status answer_all(FailedQueue& failed);
  /// The error that the device's kind has for it, and back with it.
  void refuse(virtio::SplitQueue& ring, const virtio::Chain& chain) const;
  [[nodiscard]] std::uint32_t refuse_block(const virtio::Chain& chain) const;
  [[nodiscard]] std::uint32_t refuse_file_system(const virtio::Chain& chain) const;

  const Surroundings around_;
  const Kind kind_;
  const std::uint64_t features_;
  std::vector<FailedQueue> queues_;
};

}  // namespace vmm::vhost_user
