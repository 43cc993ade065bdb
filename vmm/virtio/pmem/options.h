// What the operator says about an image that guests share.
#pragma once

#include <cstddef>
#include <string>

namespace vmm::virtio::pmem {

struct Options {
  std::string id;    // in messages, and in the API; unique
  std::string path;  // a file, which the guest sees as memory it can only read

  friend bool operator==(const Options&, const Options&) = default;
};

inline constexpr std::size_t kMostImages = 8;  // of one machine

}  // namespace vmm::virtio::pmem
