#include "vmm/pin_client/local_listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace vmm::pins {
namespace {

/// Where a socket is to be.
struct Place {
  const std::string& path;
  std::string_view what;
  sockaddr_un address{};

  [[nodiscard]] uvm::Error failed(std::string_view call) const {
    const int number = errno;
    const std::string where = std::string(what) + path + ": " + std::string(call);
    if (number == EADDRINUSE)
      return {uvm::ErrorKind::Busy, where + ": somebody listens there", "choose another path"};
    return uvm::Error::from_errno(number, where);
  }
};

/// A socket that nobody listens at any more is removed, everything else stays.
uvm::Status clear(const Place& place, SocketKind kind) {
  struct stat info {};
  if (::lstat(place.path.c_str(), &info) != 0) return uvm::ok();
  if (!S_ISSOCK(info.st_mode)) {
    return uvm::Error(uvm::ErrorKind::Invalid,
                      std::string(place.what) + place.path + " is there and no socket",
                      "remove it or choose another path");
  }
  const Fd trial = new_socket(kind, SocketCalls::Return);
  if (!trial) return place.failed("socket");
  if (connect_when_ripe(trial, place.path, place.address) == ECONNREFUSED) ::unlink(place.path.c_str());
  return uvm::ok();
}

}  // namespace

uvm::Result<LocalListener> LocalListener::open(const std::string& path, SocketKind kind,
                                               std::string_view what) {
  UVMM_TRY(const sockaddr_un address, local_address(path, what));
  const Place place{path, what, address};
  UVMM_CHECK(clear(place, kind));
  Fd fd = new_socket(kind, SocketCalls::Return);
  if (!fd) return place.failed("socket");
  // The file that bind() makes gets the socket's own mode.
  constexpr mode_t kOwnerOnly = 0600;
  if (::fchmod(fd.get(), kOwnerOnly) != 0) return place.failed("fchmod");
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return place.failed("bind");
  constexpr int kBacklog = 64;
  if (::listen(fd.get(), kBacklog) != 0) return place.failed("listen");
  return LocalListener(std::move(fd), path);
}

void LocalListener::close() {
  if (fd_) ::unlink(path_.c_str());
  fd_.reset();
}

}  // namespace vmm::pins
