// What stands before each frame in the queues (virtio 1.2, 5.1.6), and on a tap with IFF_VNET_HDR.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vmm::virtio::net {

/// Feature bits (virtio 1.2, 5.1.3).
namespace feature {
inline constexpr std::uint64_t kCsum = std::uint64_t{1} << 0;  // of the driver's frames, by the device
inline constexpr std::uint64_t kGuestCsum = std::uint64_t{1} << 1;
inline constexpr std::uint64_t kMtu = std::uint64_t{1} << 3;
inline constexpr std::uint64_t kMac = std::uint64_t{1} << 5;
inline constexpr std::uint64_t kGuestTso4 = std::uint64_t{1} << 7;
inline constexpr std::uint64_t kGuestTso6 = std::uint64_t{1} << 8;
inline constexpr std::uint64_t kGuestEcn = std::uint64_t{1} << 9;
inline constexpr std::uint64_t kHostTso4 = std::uint64_t{1} << 11;
inline constexpr std::uint64_t kHostTso6 = std::uint64_t{1} << 12;
inline constexpr std::uint64_t kHostEcn = std::uint64_t{1} << 13;
inline constexpr std::uint64_t kMergeableBuffers = std::uint64_t{1} << 15;
inline constexpr std::uint64_t kStatus = std::uint64_t{1} << 16;
}  // namespace feature

/// struct virtio_net_hdr of VERSION_1; little-endian.
struct Header {
  static constexpr std::uint8_t kNeedsChecksum = 1;
  static constexpr std::uint8_t kDataValid = 2;

  static constexpr std::uint8_t kNotSegmented = 0;
  static constexpr std::uint8_t kTcp4 = 1;
  static constexpr std::uint8_t kTcp6 = 4;
  static constexpr std::uint8_t kEcn = 0x80;  // beside a kind of TCP

  std::uint8_t flags = 0;
  std::uint8_t segmentation = kNotSegmented;
  std::uint16_t header_bytes = 0;
  std::uint16_t segment_bytes = 0;
  std::uint16_t checksum_start = 0;   // from the frame's begin
  std::uint16_t checksum_offset = 0;  // from there
  std::uint16_t buffers = 0;          // that a frame for the driver fills

  friend bool operator==(const Header&, const Header&) = default;
};
static_assert(sizeof(Header) == 12);

inline constexpr std::size_t kLeastFrameBytes = 14;             // an Ethernet header
inline constexpr std::size_t kMostFrameBytes = 65535 + 14 + 4;  // of IP's longest packet, with a VLAN's tag

/// Whether a driver that has taken `features` may send a frame of `frame_bytes` with this header. Flags that
/// a device does not know are ignored, as virtio wants it.
[[nodiscard]] bool is_sound(const Header& header, std::size_t frame_bytes, std::uint64_t features);

}  // namespace vmm::virtio::net
