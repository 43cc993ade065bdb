// A back end as the front end talks to it: the requests, in the order that the protocol wants them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/vhost_user/channel.h"
#include "vmm/vhost_user/memory_table.h"
#include "vmm/virtio/device.h"

namespace vmm::vhost_user {

/// Thread: one at a time. Errors: as Channel's; after any of them the connection is of no more use.
class BackEnd {
 public:
  /// Connects, and agrees on features of the protocol. Errors besides: Unsupported (a back end for legacy
  /// drivers).
  [[nodiscard]] static uvm::Result<BackEnd> connect(const std::string& path);

  /// Virtio features that it offers, its own ones of vhost among them.
  [[nodiscard]] std::uint64_t features() const { return features_; }
  /// How many queues it can serve.
  [[nodiscard]] std::uint32_t queues() const { return queues_; }
  /// `bytes` (at most kMostConfigBytes) of the device's configuration from its begin on. Errors besides:
  /// Unsupported.
  [[nodiscard]] uvm::Result<std::vector<std::byte>> config(std::uint32_t bytes);

  /// What the driver has accepted. Before the rest.
  [[nodiscard]] uvm::Status set_features(std::uint64_t accepted);
  /// All of the memory in which rings and buffers lie.
  [[nodiscard]] uvm::Status set_memory(const MemoryTable& memory);
  /// Hands a queue over: from here on the back end works on it.
  [[nodiscard]] uvm::Status start(const virtio::Queue& queue);
  /// Takes it back: the back end has finished what it had begun.
  [[nodiscard]] uvm::Status stop(unsigned queue);

  /// As Channel's.
  [[nodiscard]] int fd() const { return channel_.fd(); }
  [[nodiscard]] uvm::Error why_readable() const { return channel_.why_readable(); }
  [[nodiscard]] const std::string& path() const { return channel_.path(); }

 private:
  explicit BackEnd(Channel channel) : channel_(std::move(channel)) {}
  [[nodiscard]] uvm::Status negotiate();
  [[nodiscard]] uvm::Result<std::uint64_t> ask(Request request);
  /// Sends a request that has no answer of its own, and waits for its success if the back end tells that.
  [[nodiscard]] uvm::Status tell(Request request, std::span<const std::byte> payload,
                                 std::span<const int> fds = {});
  template <class T>
  [[nodiscard]] uvm::Status tell(Request request, const T& value, std::span<const int> fds = {});
  [[nodiscard]] uvm::Status tell_event(Request request, unsigned queue, const Fd& event);

  Channel channel_;
  std::uint64_t features_ = 0;
  std::uint64_t protocol_ = 0;  // agreed on
  std::uint32_t queues_ = 1;
};

}  // namespace vmm::vhost_user
