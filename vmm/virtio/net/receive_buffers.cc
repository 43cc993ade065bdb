#include "vmm/virtio/net/receive_buffers.h"

#include <algorithm>
#include <string>
#include <utility>

namespace vmm::virtio::net {

uvm::Status ReceiveBuffers::gather(SplitQueue& queue, std::size_t bytes, Merging merging) {
  while (taken_.empty() || (merging == Merging::Yes && room() < bytes)) {
    UVMM_TRY(const bool there, queue.pop(chain_));
    if (!there) return uvm::ok();
    if (chain_.writable_bytes() < sizeof(Header)) {
      queue.unpop();
      return uvm::Error(uvm::ErrorKind::Invalid,
                        "a buffer for frames of " + std::to_string(chain_.writable_bytes()) + " bytes");
    }
    // More than a frame needs is not looked at.
    auto opened = GuestBytes::open(space_, chain_.writable, uvm::AccessKind::Write, 0,
                                   sizeof(Header) + kMostFrameBytes);
    if (!opened) {
      queue.unpop();
      return std::move(opened).error();
    }
    bytes_ += opened->size();
    taken_.push_back({chain_.head, *std::move(opened)});
  }
  return uvm::ok();
}

std::span<const iovec> ReceiveBuffers::parts() {
  parts_.clear();
  std::size_t skip = sizeof(Header);
  for (const Taken& each : taken_) append_from(parts_, each.bytes.parts(), skip);
  // Two are left for what a link has to say beside the frame.
  constexpr std::size_t kMost = GuestBytes::kMostParts - 2;
  if (parts_.size() > kMost) parts_.resize(kMost);
  return parts_;
}

void ReceiveBuffers::deliver(SplitQueue& queue, Header header, std::size_t bytes) {
  std::size_t chains = 0;
  for (std::size_t fits = 0; fits < bytes + sizeof header; ++chains) fits += taken_[chains].bytes.size();
  header.buffers = static_cast<std::uint16_t>(chains);
  (void)copy_to(taken_.front().bytes.parts(), 0, std::as_bytes(std::span(&header, 1)));
  for (std::size_t left = bytes + sizeof header; left > 0;) {
    const std::size_t now = std::min(left, taken_.front().bytes.size());
    queue.push(taken_.front().head, static_cast<std::uint32_t>(now));
    bytes_ -= taken_.front().bytes.size();
    taken_.pop_front();
    left -= now;
  }
}

void ReceiveBuffers::put_back(SplitQueue& queue) {
  for (std::size_t i = 0; i < taken_.size(); ++i) queue.unpop();
  taken_.clear();
  bytes_ = 0;
}

}  // namespace vmm::virtio::net
