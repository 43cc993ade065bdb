// What the operator says about a disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace vmm::virtio::blk {

enum class DiskAccess : std::uint8_t { ReadWrite, ReadOnly };

/// What a guest's flush does: waits for the host's storage, or nothing, for a disk that nobody will miss.
enum class Flush : std::uint8_t { Honoured, Ignored };

struct Options {
  std::string id;    // in messages, and in the API; unique
  std::string path;  // a raw image file, or a block device
  DiskAccess access = DiskAccess::ReadWrite;
  Flush flush = Flush::Honoured;
  std::string serial;        // what the guest reads as its serial number; empty: the id
  std::uint32_t queues = 0;  // 0: one for each vCPU, up to kMostQueues

  friend bool operator==(const Options&, const Options&) = default;
};

inline constexpr std::size_t kMostDisks = 16;        // of one machine
inline constexpr std::size_t kMostSerialBytes = 20;  // virtio 1.2, 5.2.6: VIRTIO_BLK_T_GET_ID
inline constexpr std::uint32_t kMostQueues = 16;

}  // namespace vmm::virtio::blk
