#include "vmm/virtio/blk/geometry.h"

#include <algorithm>
#include <bit>
#include <span>

#include "vmm/devices/registers.h"

namespace vmm::virtio::blk {
namespace {

constexpr std::uint64_t kSizeMax = std::uint64_t{1} << 1;
constexpr std::uint64_t kSegMax = std::uint64_t{1} << 2;
constexpr std::uint64_t kReadOnly = std::uint64_t{1} << 5;
constexpr std::uint64_t kBlockSize = std::uint64_t{1} << 6;
constexpr std::uint64_t kTopology = std::uint64_t{1} << 10;
constexpr std::uint64_t kMultiQueue = std::uint64_t{1} << 12;
constexpr std::uint64_t kDiscard = std::uint64_t{1} << 13;
constexpr std::uint64_t kWriteZeroes = std::uint64_t{1} << 14;

}  // namespace

std::uint64_t features_of(const Geometry& geometry) {
  std::uint64_t features = kSizeMax | kSegMax | kBlockSize | kTopology;
  if (geometry.access == DiskAccess::ReadOnly) features |= kReadOnly;
  if (geometry.flush == Flush::Honoured) features |= kFeatureFlush;
  if (geometry.discards) features |= kDiscard | kWriteZeroes;
  if (geometry.queues > 1) features |= kMultiQueue;
  return features;
}

Registers registers_of(const Geometry& geometry) {
  Registers registers{};
  const auto put = [&](std::size_t at, std::size_t bytes, std::uint64_t value) {
    devices::store_le(std::span(registers).subspan(at, bytes), value);
  };
  put(0, 8, geometry.bytes / kSectorBytes);
  put(8, 4, kMostSegmentBytes);
  put(12, 4, kMostSegments);
  put(20, 4, geometry.logical_block);
  const std::uint32_t blocks =
      std::max(geometry.physical_block, geometry.logical_block) / geometry.logical_block;
  put(24, 1, static_cast<std::uint64_t>(std::countr_zero(blocks)));
  put(26, 2, blocks);  // of the smallest transfer that is not slow
  put(34, 2, geometry.queues);
  if (geometry.discards) {
    put(36, 4, kMostRangeBytes / kSectorBytes);
    put(40, 4, kMostRanges);
    put(44, 4, geometry.physical_block / kSectorBytes);
    put(48, 4, kMostRangeBytes / kSectorBytes);
    put(52, 4, kMostRanges);
    put(56, 1, 1);  // write-zeroes may give the room away
  }
  return registers;
}

Limits limits_of(const Geometry& geometry) {
  Limits limits;
  limits.bytes = geometry.bytes;
  limits.access = geometry.access;
  limits.discards = geometry.discards;
  limits.data_bytes = std::uint64_t{kMostSegments} * kMostSegmentBytes;
  limits.range_bytes = kMostRangeBytes;
  limits.ranges = kMostRanges;
  return limits;
}

}  // namespace vmm::virtio::blk
