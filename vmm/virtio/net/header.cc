#include "vmm/virtio/net/header.h"

namespace vmm::virtio::net {
namespace {

constexpr std::size_t kChecksumBytes = 2;

/// What the driver must have taken to send frames that are to be cut so; 0: nobody may.
std::uint64_t feature_of(std::uint8_t segmentation) {
  switch (segmentation) {
    case Header::kTcp4:
      return feature::kHostTso4;
    case Header::kTcp6:
      return feature::kHostTso6;
    case Header::kTcp4 | Header::kEcn:
      return feature::kHostTso4 | feature::kHostEcn;
    case Header::kTcp6 | Header::kEcn:
      return feature::kHostTso6 | feature::kHostEcn;
    default:
      return 0;
  }
}

}  // namespace

bool is_sound(const Header& header, std::size_t frame_bytes, std::uint64_t features) {
  if (frame_bytes < kLeastFrameBytes || frame_bytes > kMostFrameBytes) return false;
  const bool needs_checksum = (header.flags & Header::kNeedsChecksum) != 0;
  if (needs_checksum) {
    const std::size_t end = std::size_t{header.checksum_start} + header.checksum_offset + kChecksumBytes;
    if ((features & feature::kCsum) == 0 || end > frame_bytes) return false;
  }
  if (header.segmentation == Header::kNotSegmented) return true;
  const std::uint64_t needed = feature_of(header.segmentation);
  return needed != 0 && (features & needed) == needed && needs_checksum && header.segment_bytes != 0;
}

}  // namespace vmm::virtio::net
