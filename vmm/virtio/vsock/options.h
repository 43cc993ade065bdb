// What the operator says about sockets between guest and host.
#pragma once

#include <cstdint>
#include <string>

namespace vmm::virtio::vsock {

inline constexpr std::uint32_t kFirstGuestCid = 3;  // 0 to 2 are the hypervisor, loopback and the host

struct Options {
  std::uint32_t cid = kFirstGuestCid;  // the guest's address
  /// A unix socket made here: who connects and says "CONNECT PORT" is put through to the guest's port; the
  /// guest's connections to port N of the host go to the socket at this path with _N behind it.
  std::string socket;

  friend bool operator==(const Options&, const Options&) = default;
};

}  // namespace vmm::virtio::vsock
