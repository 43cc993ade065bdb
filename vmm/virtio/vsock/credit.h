// How many bytes may be on their way: each side tells how much it can hold, and how much of what it got has
// left it again (virtio 1.2, 5.10.6.3).
#pragma once

#include <cstdint>

#include "vmm/virtio/vsock/packet.h"

namespace vmm::virtio::vsock {

/// One connection's, both ways. All counts are modulo 2^32.
class Credit {
 public:
  /// What we hold for a host program that does not read.
  static constexpr std::uint32_t kBufferBytes = 128U << 10;

  /// What the guest says with each packet. It may say anything.
  void hear(const Header& header) {
    guest_buffer_ = header.buffer;
    guest_forwarded_ = header.forwarded;
  }
  /// What we say with each packet.
  void tell(Header& header) {
    header.buffer = kBufferBytes;
    header.forwarded = told_ = forwarded_;
  }

  /// Bytes that the guest has room for. None, if what it says cannot be.
  [[nodiscard]] std::uint32_t to_send() const {
    const std::uint32_t on_the_way = sent_ - guest_forwarded_;
    return on_the_way < guest_buffer_ ? guest_buffer_ - on_the_way : 0;
  }
  void sent(std::uint32_t bytes) { sent_ += bytes; }

  /// False: more than we have told that there is room for.
  [[nodiscard]] bool may_receive(std::uint32_t bytes) const {
    const std::uint32_t held = received_ - told_;
    return held <= kBufferBytes && bytes <= kBufferBytes - held;
  }
  void received(std::uint32_t bytes) { received_ += bytes; }
  void forwarded(std::uint32_t bytes) { forwarded_ += bytes; }
  /// So much has gone on that the guest should hear of it.
  [[nodiscard]] bool wants_update() const { return forwarded_ - told_ >= kBufferBytes / 4; }

 private:
  std::uint32_t guest_buffer_ = 0;
  std::uint32_t guest_forwarded_ = 0;
  std::uint32_t sent_ = 0;
  std::uint32_t received_ = 0;
  std::uint32_t forwarded_ = 0;
  std::uint32_t told_ = 0;
};

}  // namespace vmm::virtio::vsock
