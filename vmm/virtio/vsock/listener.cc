#include "vmm/virtio/vsock/listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "vmm/text.h"

namespace vmm::virtio::vsock {
namespace {

uvm::Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return uvm::Error(uvm::ErrorKind::Invalid,
                      "vsock's socket '" + one_line(path) + "': a path of 1 to " +
                          std::to_string(sizeof address.sun_path - 1) + " bytes is needed",
                      "choose a shorter one");
  }
  std::ranges::copy(path, static_cast<char*>(address.sun_path));
  return address;
}

Fd new_socket() {
  return Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

int connect(const Fd& fd, const sockaddr_un& address) {
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

uvm::Error failed(const std::string& path, const char* call) {
  const int number = errno;
  const std::string what = "vsock's socket " + path + ": " + call;
  if (number == EADDRINUSE) {
    return {uvm::ErrorKind::Busy, what + ": somebody listens there", "choose another path"};
  }
  return uvm::Error::from_errno(number, what);
}

/// A socket that nobody listens at any more is removed, everything else stays.
uvm::Status clear_path(const std::string& path, const sockaddr_un& address) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return uvm::ok();
  if (!S_ISSOCK(info.st_mode)) {
    return uvm::Error(uvm::ErrorKind::Invalid, "vsock's socket: " + path + " is there and no socket",
                      "remove it or choose another path");
  }
  const Fd trial = new_socket();
  if (!trial) return failed(path, "socket");
  if (connect(trial, address) != 0 && errno == ECONNREFUSED) ::unlink(path.c_str());
  return uvm::ok();
}

}  // namespace

uvm::Result<Listener> Listener::open(const std::string& path) {
  UVMM_TRY(const sockaddr_un address, address_of(path));
  UVMM_CHECK(clear_path(path, address));
  Fd fd = new_socket();
  if (!fd) return failed(path, "socket");
  // The file that bind() makes gets the socket's own mode.
  constexpr mode_t kOwnerOnly = 0600;
  if (::fchmod(fd.get(), kOwnerOnly) != 0) return failed(path, "fchmod");
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return failed(path, "bind");
  }
  if (::listen(fd.get(), SOMAXCONN) != 0) return failed(path, "listen");
  return Listener(std::move(fd), path);
}

Listener::~Listener() {
  if (fd_) ::unlink(path_.c_str());
}

uvm::Result<Fd> connect_to(const std::string& path) {
  UVMM_TRY(const sockaddr_un address, address_of(path));
  Fd fd = new_socket();
  if (!fd) return failed(path, "socket");
  if (connect(fd, address) != 0) {
    if (errno == EAGAIN) return uvm::Error(uvm::ErrorKind::Busy, "vsock's socket " + path + " is full");
    return failed(path, "connect");
  }
  return fd;
}

}  // namespace vmm::virtio::vsock
