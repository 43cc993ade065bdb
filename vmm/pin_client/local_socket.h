// Unix sockets, that keep packets whole or are streams of bytes.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "uvm/base/error.h"
#include "vmm/kvm/fd.h"

namespace vmm::pins {

enum class SocketKind : std::uint8_t { Packets, Stream };

class LocalListener {
 public:
  /// See Server::create.
  [[nodiscard]] static uvm::Result<LocalListener> open(const std::string& path,
                                                       SocketKind kind = SocketKind::Packets);
  ~LocalListener() { close(); }
  LocalListener(LocalListener&&) noexcept = default;
  LocalListener& operator=(LocalListener&&) = delete;

  /// Removes the socket's file too.
  void close();
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  LocalListener(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Fd fd_;
  std::string path_;
};

/// A connected, blocking socket. With patience, connecting and each message there and back take so long at
/// most, and are Busy then. Errors: NotFound, Permission, Busy, System; the path is named.
[[nodiscard]] uvm::Result<Fd> connect_to(const std::string& path, SocketKind kind = SocketKind::Packets,
                                         std::chrono::milliseconds patience = {});

/// The process at the other end. Errors: Permission (it is neither root's nor this process's user's).
[[nodiscard]] uvm::Result<pid_t> peer_of(int socket);

}  // namespace vmm::pins
