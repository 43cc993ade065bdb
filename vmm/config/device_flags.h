// Devices as the command line spells them, a device a flag.
#pragma once

#include <string_view>

#include "uvm/base/error.h"
#include "vmm/virtio/balloon/options.h"
#include "vmm/virtio/net/options.h"
#include "vmm/virtio/pmem/options.h"
#include "vmm/virtio/vsock/options.h"

namespace vmm::config {

/// --net: "tap=NAME" or "passt[=SOCKET]", then ",mac=02:…" and ",id=NAME"; also QEMU's "tap,ifname=NAME".
/// Errors: Invalid.
[[nodiscard]] uvm::Result<virtio::net::Options> parse_network(std::string_view text);

/// --vsock: "CID,SOCKET", also "cid=CID,socket=SOCKET" (Cloud Hypervisor). The path may hold commas. Errors:
/// Invalid.
[[nodiscard]] uvm::Result<virtio::vsock::Options> parse_vsock(std::string_view text);

/// --balloon: "SIZE", then ",deflate-on-oom", ",reporting" and ",stats=SECONDS" where wanted. Errors:
/// Invalid.
[[nodiscard]] uvm::Result<virtio::balloon::Options> parse_balloon(std::string_view text);

/// --pmem: "PATH" or "file=PATH" (Cloud Hypervisor), then ",id=NAME" where wanted. The path may hold commas.
/// Errors: Invalid.
[[nodiscard]] uvm::Result<virtio::pmem::Options> parse_pmem(std::string_view text);

}  // namespace vmm::config
