// Packets of a virtio socket device (virtio 1.2, 5.10.6).
#pragma once

#include <compare>
#include <cstdint>

namespace vmm::virtio::vsock {

inline constexpr std::uint64_t kHostCid = 2;
inline constexpr std::uint16_t kStream = 1;  // the type

enum class Operation : std::uint16_t {
  Invalid = 0,
  Request = 1,
  Response = 2,
  Reset = 3,
  Shutdown = 4,
  Data = 5,
  CreditUpdate = 6,
  CreditRequest = 7,
};

/// Flags of Shutdown: what the sender of it will not do any more.
inline constexpr std::uint32_t kNoReceiving = 1;
inline constexpr std::uint32_t kNoSending = 2;
inline constexpr std::uint32_t kNothing = kNoReceiving | kNoSending;

/// struct virtio_vsock_hdr; little-endian, without padding.
struct [[gnu::packed]] Header {
  std::uint64_t source_cid = 0;
  std::uint64_t destination_cid = 0;
  std::uint32_t source_port = 0;
  std::uint32_t destination_port = 0;
  std::uint32_t bytes = 0;  // behind the header
  std::uint16_t type = kStream;
  std::uint16_t operation = 0;
  std::uint32_t flags = 0;
  std::uint32_t buffer = 0;     // bytes of the sender's for what it receives
  std::uint32_t forwarded = 0;  // bytes that have left it again, modulo 2^32
};
static_assert(sizeof(Header) == 44);

/// What the driver finds in the event queue.
struct Event {
  static constexpr std::uint32_t kTransportReset = 0;
  std::uint32_t id = kTransportReset;
};

/// A connection, seen from here.
struct Ports {
  std::uint32_t host = 0;
  std::uint32_t guest = 0;

  friend auto operator<=>(const Ports&, const Ports&) = default;
};

}  // namespace vmm::virtio::vsock
