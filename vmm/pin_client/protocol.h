// What goes over the pin socket: one message a packet (SOCK_SEQPACKET), little-endian words, a reply to every
// request, in their order.
#pragma once

#include <array>
#include <cstdint>

namespace vmm::pins {

inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::size_t kMostRanges = 256;    // of one pin
inline constexpr std::size_t kMostExtents = 2048;  // of one pin's reply
inline constexpr std::size_t kMostPins = 4096;     // of one client
inline constexpr std::size_t kMostFds = 250;       // in one message; Linux takes 253
inline constexpr std::size_t kNameBytes = 64;
inline constexpr std::size_t kMostBytes = std::size_t{128} << 10U;  // of a message

enum class Verb : std::uint32_t {
  Hello = 1,  // HelloRequest → HelloReply; the first request of a connection
  Pin = 2,    // PinRequest, Range… → PinReply, Extent…, with descriptors
  Unpin = 3,  // UnpinRequest → nothing
  Bell = 4,   // nothing → nothing, with an eventfd that interrupts the guest when it is written
};

enum class Outcome : std::uint32_t {
  Ok = 0,
  Refused = 1,  // a line of text follows; the connection goes on
  Broken = 2,   // a line of text follows, and the connection ends: that was no request
};

/// The head of every message. A reply repeats verb and tag of its request; `outcome` is 0 in a request.
struct Header {
  Verb verb = Verb::Hello;
  std::uint32_t tag = 0;  // the client's to choose
  Outcome outcome = Outcome::Ok;
  std::uint32_t reserved = 0;
};

struct HelloRequest {
  std::uint32_t version = kVersion;
  std::uint32_t reserved = 0;
  std::array<char, kNameBytes> name{};  // ended by a zero; letters, digits and -_.:
};
struct HelloReply {
  std::uint32_t version = kVersion;
  std::uint32_t most_ranges = kMostRanges;
};

struct Range {
  std::uint64_t gpa = 0;   // bytes, page-aligned
  std::uint64_t size = 0;  // bytes, whole pages
};
struct PinRequest {
  std::uint32_t access = 0;  // 0: read, 1: write
  std::uint32_t policy = 0;  // of a fork that meets the pin; 0: copy, 1: quiesce, 2: refuse
  std::uint32_t ranges = 0;  // that follow
  std::uint32_t reserved = 0;
};
/// A part of a pinned range: `size` bytes from `offset` on of the descriptor number `fd` of the message.
struct Extent {
  std::uint64_t gpa = 0;
  std::uint64_t size = 0;
  std::uint64_t offset = 0;
  std::uint32_t fd = 0;
  std::uint32_t reserved = 0;
};
struct PinReply {
  std::uint64_t pin = 0;
  std::uint32_t extents = 0;  // that follow: of the first range ascending, then of the next
  std::uint32_t reserved = 0;
};

struct UnpinRequest {
  std::uint64_t pin = 0;
};

}  // namespace vmm::pins
