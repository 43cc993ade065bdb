// What goes over a vhost-user socket: the part of the protocol that the front end here speaks.
//
// A message is a header and a payload, in the byte order of the machine; descriptors travel with the header.
// Source: QEMU's docs/interop/vhost-user.rst. Addresses of the front end ("user addresses") are only names by
// which rings are found in the memory table; here they are the guest-physical addresses.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vmm::vhost_user {

enum class Request : std::uint32_t {
  GetFeatures = 1,
  SetFeatures = 2,
  SetOwner = 3,
  SetMemoryTable = 5,
  SetQueueSize = 8,
  SetQueueAddresses = 9,
  SetQueueBase = 10,
  GetQueueBase = 11,
  SetQueueKick = 12,
  SetQueueCall = 13,
  GetProtocolFeatures = 15,
  SetProtocolFeatures = 16,
  GetQueueCount = 17,
  SetQueueEnable = 18,
  GetConfig = 24,
};

inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::uint32_t kVersionMask = 3;
inline constexpr std::uint32_t kFlagReply = 1 << 2;
inline constexpr std::uint32_t kFlagNeedReply = 1 << 3;

/// Among the virtio features: there are protocol features.
inline constexpr std::uint64_t kFeatureProtocol = std::uint64_t{1} << 30;

inline constexpr std::uint64_t kProtocolQueues = std::uint64_t{1} << 0;
inline constexpr std::uint64_t kProtocolReplyAck = std::uint64_t{1} << 3;
inline constexpr std::uint64_t kProtocolConfig = std::uint64_t{1} << 9;

inline constexpr std::size_t kMostRegions = 8;         // of a memory table
inline constexpr std::size_t kMostConfigBytes = 256;   // of one GetConfig
inline constexpr std::size_t kMostPayloadBytes = 512;  // of what we send and take

struct Header {
  std::uint32_t request = 0;
  std::uint32_t flags = kVersion;
  std::uint32_t bytes = 0;  // of the payload
};

/// A range of guest memory: `mmap_offset` into the descriptor that comes with it.
struct Region {
  std::uint64_t gpa = 0;
  std::uint64_t bytes = 0;
  std::uint64_t user = 0;
  std::uint64_t mmap_offset = 0;
};
struct MemoryHeader {
  std::uint32_t regions = 0;  // that follow
  std::uint32_t padding = 0;
};

struct QueueState {
  std::uint32_t queue = 0;
  std::uint32_t value = 0;
};
/// User addresses.
struct QueueAddresses {
  std::uint32_t queue = 0;
  std::uint32_t flags = 0;
  std::uint64_t descriptors = 0;
  std::uint64_t device_area = 0;
  std::uint64_t driver_area = 0;
  std::uint64_t log = 0;
};
struct ConfigHeader {
  std::uint32_t offset = 0;
  std::uint32_t bytes = 0;  // that follow
  std::uint32_t flags = 0;
};

static_assert(sizeof(Header) == 12 && sizeof(Region) == 32 && sizeof(MemoryHeader) == 8);
static_assert(sizeof(QueueState) == 8 && sizeof(QueueAddresses) == 40 && sizeof(ConfigHeader) == 12);

}  // namespace vmm::vhost_user
