// The unix sockets of a vsock device: where the host's programs connect, and where they listen.
#pragma once

#include <string>

#include "vmm/pin_client/local_listener.h"

namespace vmm::virtio::vsock {

using Listener = pins::LocalListener;

/// At a stream. Errors: those of Listener::open().
[[nodiscard]] uvm::Result<Listener> listen_at(const std::string& path);

/// A stream to whoever listens at `path`, non-blocking. Errors: NotFound, Permission, Busy (it has no room
/// for one more), Invalid, System.
[[nodiscard]] uvm::Result<Fd> connect_to(const std::string& path);

}  // namespace vmm::virtio::vsock
