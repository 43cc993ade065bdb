// The driver's buffers for a frame that comes.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <deque>
#include <span>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/space.h"
#include "vmm/virtio/guest_bytes.h"
#include "vmm/virtio/net/header.h"
#include "vmm/virtio/split_queue.h"

namespace vmm::virtio::net {

/// Chains taken from the receive queue and open for writing. They stay so from one frame to the next, within
/// one turn: put_back() ends it. Not thread-safe.
class ReceiveBuffers {
 public:
  explicit ReceiveBuffers(uvm::Space& space) : space_(space) {}

  enum class Merging : bool { No, Yes };
  /// Takes chains until a frame of `bytes` has room, or there are no more; without merging, one. Errors: the
  /// ring's; Invalid (a buffer that has not even room for the header); GuestBytes::open()'s. They come again
  /// when it is tried again.
  [[nodiscard]] uvm::Status gather(SplitQueue& queue, std::size_t bytes, Merging merging);

  [[nodiscard]] std::size_t chains() const { return taken_.size(); }
  /// Bytes of a frame.
  [[nodiscard]] std::size_t room() const { return taken_.empty() ? 0 : bytes_ - sizeof(Header); }
  /// Where a frame goes; until the next gather() or deliver().
  [[nodiscard]] std::span<const iovec> parts();
  /// Gives the driver the frame of `bytes`, at most room(), that is in parts() now.
  void deliver(SplitQueue& queue, Header header, std::size_t bytes);
  /// What was taken and not used goes back.
  void put_back(SplitQueue& queue);

 private:
  struct Taken {
    std::uint16_t head = 0;
    GuestBytes bytes;
  };

  uvm::Space& space_;
  std::deque<Taken> taken_;
  std::size_t bytes_ = 0;  // of all of them
  Chain chain_;            // whose room is used again
  std::vector<iovec> parts_;
};

}  // namespace vmm::virtio::net
