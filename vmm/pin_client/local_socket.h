// Unix sockets, that keep packets whole or are streams of bytes.
#pragma once

#include <sys/types.h>
#include <sys/un.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "uvm/base/error.h"
#include "vmm/kvm/fd.h"

namespace vmm::pins {

enum class SocketKind : std::uint8_t { Packets, Stream };

/// Whether a call that has to wait does so.
enum class SocketCalls : std::uint8_t { Block, Return };

/// `path` as the system calls take it. `what` stands before it in the error: Invalid (it is
/// empty or too long).
[[nodiscard]] uvm::Result<sockaddr_un> local_address(const std::string& path, std::string_view what);

/// Closed by exec. Empty on failure, see errno.
[[nodiscard]] Fd new_socket(SocketKind kind, SocketCalls calls);

/// connect(), but who has made the socket's file in the last half second is waited for until that is over, as
/// he may be about to listen. 0, or the error's number.
[[nodiscard]] int connect_when_ripe(const Fd& fd, const std::string& path, const sockaddr_un& address);

/// A connected, blocking socket. With patience, connecting and each message there and back take so long at
/// most, and are Busy then. Errors: NotFound, Permission, Busy, System; the path is named.
[[nodiscard]] uvm::Result<Fd> connect_to(const std::string& path, SocketKind kind = SocketKind::Packets,
                                         std::chrono::milliseconds patience = {});

/// The process at the other end. Errors: Permission (it is neither root's nor this process's user's).
[[nodiscard]] uvm::Result<pid_t> peer_of(int socket);

}  // namespace vmm::pins
