// A unix socket where the host's programs connect.
#pragma once

#include <string>

#include "uvm/base/error.h"
#include "vmm/kvm/fd.h"

namespace vmm::virtio::vsock {

class Listener {
 public:
  /// Listens at a stream socket of mode 0600. One that nobody listens at any more is replaced; anything else
  /// at `path` is not. Errors: Busy (somebody listens there), Invalid (a file that is no socket, a path that
  /// is too long), Permission, System; the path is named.
  [[nodiscard]] static uvm::Result<Listener> open(const std::string& path);
  /// Removes the socket's file too.
  ~Listener();
  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&&) = delete;

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  Listener(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Fd fd_;
  std::string path_;
};

/// A stream to whoever listens at `path`, non-blocking. Errors: NotFound, Permission, Busy (it has no room
/// for one more), Invalid, System.
[[nodiscard]] uvm::Result<Fd> connect_to(const std::string& path);

}  // namespace vmm::virtio::vsock
