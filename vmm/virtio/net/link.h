// The host's side of an interface: where frames go to and come from.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "uvm/base/error.h"
#include "vmm/virtio/net/header.h"

namespace vmm::virtio::net {

enum class Outcome : std::uint8_t {
  Done,
  Later,    // nothing came, or there is no room: wait for the descriptor
  Refused,  // this frame will never go
  Gone,     // nor will any other: the other side has ended
};

/// A frame that has come: what of it did not go into the parts given is in `rest`, until the next receive().
struct Incoming {
  Header header;
  std::size_t bytes = 0;  // of the whole frame
  std::span<const std::byte> rest;
};

/// What a kind of link lets a driver be offered: the same whether it is up or not, so that a driver finds
/// what it has agreed on where there is no link, too.
struct LinkKind {
  std::uint64_t features = 0;
  std::uint16_t mtu = 0;  // the longest packet in a frame; 0: it is not known here
};

/// Thread: one at a time.
class Link {
 public:
  virtual ~Link() = default;
  /// What the driver has taken of them. Errors: System.
  [[nodiscard]] virtual uvm::Status agree(std::uint64_t features) = 0;

  /// Sends one frame of `parts`, at most kMostFrameBytes. Never waits.
  [[nodiscard]] virtual Outcome send(const Header& header, std::span<const iovec> parts) = 0;
  /// Receives one frame into `parts`. Never waits. Refused: it came, and could not be put there.
  [[nodiscard]] virtual Outcome receive(std::span<const iovec> parts, Incoming& frame) = 0;
  /// Frames that were taken from send() and are not gone yet; to be called when the descriptor has room.
  [[nodiscard]] virtual Outcome flush() { return Outcome::Done; }

  /// To wait for; non-blocking. The same as long as it lives.
  [[nodiscard]] virtual int fd() const = 0;
  /// For messages: "tap0", "passt".
  [[nodiscard]] virtual std::string name() const = 0;
  /// After Gone: what is known of the cause.
  [[nodiscard]] virtual std::string reason() { return {}; }
};

}  // namespace vmm::virtio::net
