// Devices as the command line spells them, a device a flag.
#pragma once

#include <string_view>

#include "uvm/base/error.h"
#include "vmm/virtio/net/options.h"
#include "vmm/virtio/vsock/options.h"

namespace vmm::config {

/// --net: "tap=NAME" or "passt[=SOCKET]", then ",mac=02:…" and ",id=NAME"; also QEMU's "tap,ifname=NAME".
/// Errors: Invalid.
[[nodiscard]] uvm::Result<virtio::net::Options> parse_network(std::string_view text);

/// --vsock: "CID,SOCKET", also "cid=CID,socket=SOCKET" (Cloud Hypervisor). The path may hold commas. Errors:
/// Invalid.
[[nodiscard]] uvm::Result<virtio::vsock::Options> parse_vsock(std::string_view text);

}  // namespace vmm::config
