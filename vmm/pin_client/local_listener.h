// A unix socket where others connect.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "vmm/pin_client/local_socket.h"

namespace vmm::pins {

class LocalListener {
 public:
  /// Listens at a non-blocking socket, which has mode 0600 before anybody can see it. One that nobody listens
  /// at any more is replaced; anything else at `path` is not. `what` stands before it in errors: Busy
  /// (somebody listens there), Invalid (a file that is no socket, a path that is too long), Permission,
  /// System.
  [[nodiscard]] static uvm::Result<LocalListener> open(const std::string& path,
                                                       SocketKind kind = SocketKind::Packets,
                                                       std::string_view what = "socket ");
  ~LocalListener() { close(); }
  LocalListener(LocalListener&&) noexcept = default;
  LocalListener& operator=(LocalListener&&) = delete;

  /// Turns away who waits to be accepted, and removes the socket's file.
  void close();
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  LocalListener(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Fd fd_;
  std::string path_;
};

}  // namespace vmm::pins
