#include "vmm/pin_client/local_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <thread>

namespace vmm::pins {
namespace {

uvm::Error failed(int number, const std::string& path, std::string_view call) {
  return uvm::Error::from_errno(number, "socket " + path + ": " + std::string(call));
}

/// 0, or the error's number.
int connect(const Fd& fd, const sockaddr_un& address) {
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
}

/// Until when somebody may yet come to listen at `path`: bind() makes the file, and until listen() those who
/// connect are refused, as they are where nobody listens any more.
std::chrono::steady_clock::time_point ripe(const std::string& path) {
  using std::chrono::nanoseconds;
  const auto now = std::chrono::steady_clock::now();
  struct stat info {};
  timespec time{};
  if (::stat(path.c_str(), &info) != 0 || ::clock_gettime(CLOCK_REALTIME, &time) != 0) return now;
  const nanoseconds age = std::chrono::seconds(time.tv_sec - info.st_ctim.tv_sec) +
                          nanoseconds(time.tv_nsec - info.st_ctim.tv_nsec);
  constexpr nanoseconds kYouth = std::chrono::milliseconds(500);
  return now + std::clamp(kYouth - age, nanoseconds(0), kYouth);
}

}  // namespace

uvm::Result<sockaddr_un> local_address(const std::string& path, std::string_view what) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return uvm::Error(uvm::ErrorKind::Invalid,
                      std::string(what) + "'" + path + "': a path of 1 to " +
                          std::to_string(sizeof address.sun_path - 1) + " bytes is needed",
                      "choose a shorter one");
  }
  std::ranges::copy(path, static_cast<char*>(address.sun_path));
  return address;
}

Fd new_socket(SocketKind kind, SocketCalls calls) {
  const int type = kind == SocketKind::Packets ? SOCK_SEQPACKET : SOCK_STREAM;
  const int flags = calls == SocketCalls::Return ? SOCK_NONBLOCK : 0;
  return Fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | flags, 0));
}

int connect_when_ripe(const Fd& fd, const std::string& path, const sockaddr_un& address) {
  int failure = connect(fd, address);
  if (failure != ECONNREFUSED) return failure;
  for (const auto end = ripe(path); failure == ECONNREFUSED && std::chrono::steady_clock::now() < end;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    failure = connect(fd, address);
  }
  return failure;
}

uvm::Result<Fd> connect_to(const std::string& path, SocketKind kind, std::chrono::milliseconds patience) {
  UVMM_TRY(const sockaddr_un address, local_address(path, "socket "));
  Fd fd = new_socket(kind, SocketCalls::Block);
  if (!fd) return failed(errno, path, "socket");
  if (patience.count() != 0) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(patience);
    const std::chrono::microseconds rest = patience - seconds;
    const timeval limit{seconds.count(), rest.count()};
    // Of an AF_UNIX socket the first is the limit of connect() too.
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
        ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0) {
      return failed(errno, path, "setsockopt");
    }
  }
  const int failure = connect_when_ripe(fd, path, address);
  if (failure == 0) return fd;
  if (failure == EAGAIN) {
    return uvm::Error(uvm::ErrorKind::Busy,
                      "socket " + path + ": nobody has accepted the connection in time");
  }
  return failed(failure, path, "connect");
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
