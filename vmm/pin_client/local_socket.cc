#include "vmm/pin_client/local_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace vmm::pins {
namespace {

uvm::Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return uvm::Error(uvm::ErrorKind::Invalid,
                      "socket '" + path + "': a path of 1 to " + std::to_string(sizeof address.sun_path - 1) +
                          " bytes is needed",
                      "choose a shorter one");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

uvm::Error failed(const std::string& path, std::string_view call) {
  const int number = errno;
  const std::string what = "socket " + path + ": " + std::string(call);
  if (number == EADDRINUSE)
    return {uvm::ErrorKind::Busy, what + ": somebody listens there", "choose another path"};
  return uvm::Error::from_errno(number, what);
}

Fd new_socket(SocketKind kind, int flags) {
  const int type = kind == SocketKind::Packets ? SOCK_SEQPACKET : SOCK_STREAM;
  return Fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | flags, 0));
}

int connect(const Fd& fd, const sockaddr_un& address) {
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

/// A socket that nobody listens at any more is removed, everything else stays.
uvm::Status clear_path(const std::string& path, const sockaddr_un& address, SocketKind kind) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return uvm::ok();
  if (!S_ISSOCK(info.st_mode)) {
    return uvm::Error(uvm::ErrorKind::Invalid, "socket: " + path + " is there and no socket",
                      "remove it or choose another path");
  }
  const Fd trial = new_socket(kind, SOCK_NONBLOCK);
  if (!trial) return failed(path, "socket");
  if (connect(trial, address) != 0 && errno == ECONNREFUSED) ::unlink(path.c_str());
  return uvm::ok();
}

}  // namespace

uvm::Result<LocalListener> LocalListener::open(const std::string& path, SocketKind kind) {
  UVMM_TRY(const sockaddr_un address, address_of(path));
  UVMM_CHECK(clear_path(path, address, kind));
  Fd fd = new_socket(kind, SOCK_NONBLOCK);
  if (!fd) return failed(path, "socket");
  // The file that bind() makes gets the socket's own mode.
  constexpr mode_t kOwnerOnly = 0600;
  if (::fchmod(fd.get(), kOwnerOnly) != 0) return failed(path, "fchmod");
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return failed(path, "bind");
  constexpr int kBacklog = 8;
  if (::listen(fd.get(), kBacklog) != 0) return failed(path, "listen");
  return LocalListener(std::move(fd), path);
}

void LocalListener::close() {
  if (fd_) ::unlink(path_.c_str());
  fd_.reset();
}

uvm::Result<Fd> connect_to(const std::string& path, SocketKind kind, std::chrono::milliseconds patience) {
  UVMM_TRY(const sockaddr_un address, address_of(path));
  Fd fd = new_socket(kind, 0);
  if (!fd) return failed(path, "socket");
  if (patience.count() != 0) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(patience);
    const std::chrono::microseconds rest = patience - seconds;
    const timeval limit{seconds.count(), rest.count()};
    // Of an AF_UNIX socket the first is the limit of connect() too.
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
        ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0) {
      return failed(path, "setsockopt");
    }
  }
  if (connect(fd, address) == 0) return fd;
  if (errno == EAGAIN) {
    return uvm::Error(uvm::ErrorKind::Busy,
                      "socket " + path + ": nobody has accepted the connection in time");
  }
  return failed(path, "connect");
}

uvm::Result<pid_t> peer_of(int socket) {
  ucred peer{};
  socklen_t bytes = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) {
    return uvm::Error::from_errno(errno, "socket: SO_PEERCRED");
  }
  if (peer.uid != ::geteuid() && peer.uid != 0) {
    return uvm::Error(
        uvm::ErrorKind::Permission,
        "socket: process " + std::to_string(peer.pid) + " is user " + std::to_string(peer.uid) + "'s",
        "run it as user " + std::to_string(::geteuid()));
  }
  return peer.pid;
}

}  // namespace vmm::pins
