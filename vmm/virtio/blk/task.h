// A request that is under way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "uvm/pin.h"
#include "vmm/virtio/blk/engine.h"
#include "vmm/virtio/blk/request.h"
#include "vmm/virtio/split_queue.h"

namespace vmm::virtio::blk {

/// Used again for other requests; its vectors keep their room.
struct Task : Job {
  SplitQueue* queue = nullptr;
  std::uint16_t head = 0;
  std::uint64_t writable = 0;  // bytes of its chain that the device writes
  Frame frame;
  Request request;
  std::vector<Range> ranges;  // of a discard
  std::size_t range = 0;      // the one that is under way

  // Where the data is: pages of the guest, pinned, or a copy.
  std::shared_ptr<const uvm::Pin> pin;  // shared by the requests of one turn
  std::unique_ptr<std::byte[]> copy;    // NOLINT(modernize-avoid-c-arrays): not filled when made
  std::size_t copy_room = 0;            // bytes

  [[nodiscard]] bool is_read() const { return request.type == RequestType::In; }
  [[nodiscard]] const std::vector<Segment>& data() const {
    return is_read() ? frame.data_in : frame.data_out;
  }
};

}  // namespace vmm::virtio::blk
