// What the operator says about devices whose queues another process serves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace vmm::vhost_user {

enum class Kind : std::uint8_t { Block, FileSystem };

/// One device.
struct Options {
  Kind kind = Kind::Block;
  std::string socket;  // where its back end listens
  std::string tag;     // FileSystem: what the guest mounts it by

  friend bool operator==(const Options&, const Options&) = default;
};

inline constexpr std::size_t kMostDevices = 16;   // of one machine
inline constexpr std::size_t kMostTagBytes = 36;  // of a file system's name (virtio 1.2, 5.11.4)

}  // namespace vmm::vhost_user
