// What a disk says of itself: its feature bits and its registers (virtio 1.2, 5.2.3 and 5.2.4).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "vmm/virtio/blk/options.h"
#include "vmm/virtio/blk/request.h"

namespace vmm::virtio::blk {

inline constexpr std::uint64_t kFeatureFlush = std::uint64_t{1} << 9;

struct Geometry {
  std::uint64_t bytes = 0;             // a multiple of kSectorBytes
  std::uint32_t logical_block = 512;   // the smallest that the host reads or writes as one, a power of two
  std::uint32_t physical_block = 512;  // the smallest that costs it nothing more, a power of two
  DiskAccess access = DiskAccess::ReadWrite;
  Flush flush = Flush::Honoured;
  bool discards = false;  // room can be given back to the host, and ranges be made zero
  std::uint16_t queues = 1;

  friend bool operator==(const Geometry&, const Geometry&) = default;
};

inline constexpr std::uint16_t kQueueSize = 256;
inline constexpr std::uint32_t kMostSegments = kQueueSize - 2;  // header and status take two
inline constexpr std::uint32_t kMostSegmentBytes = std::uint32_t{1} << 20;
inline constexpr std::uint64_t kMostRangeBytes = std::uint64_t{1} << 30;  // of a discard
inline constexpr std::uint32_t kMostRanges = 64;

/// VIRTIO_BLK_F_*.
[[nodiscard]] std::uint64_t features_of(const Geometry& geometry);

using Registers = std::array<std::byte, 60>;
[[nodiscard]] Registers registers_of(const Geometry& geometry);

[[nodiscard]] Limits limits_of(const Geometry& geometry);

}  // namespace vmm::virtio::blk
