#include "vmm/gdb/listening_socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

namespace vmm::gdb {
namespace {

/// A socket's address as the system calls take it.
struct Endpoint {
  sockaddr_storage storage{};
  socklen_t bytes = 0;

  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] int family() const { return storage.ss_family; }
};

uvm::Result<Endpoint> endpoint_of(const ListenAddress& address) {
  Endpoint endpoint;
  if (!address.path.empty()) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, address.path.data(), std::min(address.path.size(), sizeof name.sun_path - 1));
    std::memcpy(&endpoint.storage, &name, sizeof name);
    endpoint.bytes = sizeof name;
    return endpoint;
  }
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  const int failure = ::getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found);
  if (failure != 0) {
    return uvm::Error(uvm::ErrorKind::Invalid,
                      "gdb server: " + to_string(address) + ": " + ::gai_strerror(failure));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
  std::memcpy(&endpoint.storage, found->ai_addr, found->ai_addrlen);
  endpoint.bytes = found->ai_addrlen;
  return endpoint;
}

uvm::Error failed(const ListenAddress& address, std::string_view call) {
  const int number = errno;
  const std::string what = "gdb server: " + to_string(address) + ": " + std::string(call);
  if (number == EADDRINUSE)
    return {uvm::ErrorKind::Busy, what + ": somebody listens there", "choose another place with --gdb"};
  return uvm::Error::from_errno(number, what);
}

/// Makes room at a path: a socket that nobody listens at any more is removed, everything else stays.
uvm::Status clear_path(const ListenAddress& address, Endpoint endpoint) {
  struct stat info {};
  if (::lstat(address.path.c_str(), &info) != 0) return uvm::ok();
  if (!S_ISSOCK(info.st_mode)) {
    return uvm::Error(uvm::ErrorKind::Invalid, "gdb server: " + address.path + " is there and no socket",
                      "remove it or choose another path");
  }
  const Fd trial(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!trial) return failed(address, "socket");
  if (::connect(trial.get(), endpoint.get(), endpoint.bytes) != 0 && errno == ECONNREFUSED)
    ::unlink(address.path.c_str());
  return uvm::ok();
}

std::uint16_t bound_port(const Fd& fd, std::uint16_t otherwise) {
  Endpoint bound;
  bound.bytes = sizeof bound.storage;
  if (::getsockname(fd.get(), bound.get(), &bound.bytes) != 0) return otherwise;
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&bound.storage);
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&bound.storage);
  return ntohs(bound.family() == AF_INET6 ? v6->sin6_port : v4->sin_port);
}

}  // namespace

uvm::Result<ListeningSocket> ListeningSocket::open(const ListenAddress& address) {
  UVMM_TRY(Endpoint endpoint, endpoint_of(address));
  const bool local = !address.path.empty();
  if (local) UVMM_CHECK(clear_path(address, endpoint));
  Fd fd(::socket(endpoint.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return failed(address, "socket");
  if (local) {
    // The file that bind() makes gets the socket's own mode.
    constexpr mode_t kOwnerOnly = 0600;
    if (::fchmod(fd.get(), kOwnerOnly) != 0) return failed(address, "fchmod");
  } else {
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  }
  if (::bind(fd.get(), endpoint.get(), endpoint.bytes) != 0) return failed(address, "bind");
  constexpr int kBacklog = 8;
  if (::listen(fd.get(), kBacklog) != 0) return failed(address, "listen");
  ListenAddress actual = address;
  if (!local) actual.port = bound_port(fd, address.port);
  return ListeningSocket(std::move(fd), std::move(actual));
}

ListeningSocket::ListeningSocket(Fd fd, ListenAddress address)
    : fd_(std::move(fd)), address_(std::move(address)) {}

ListeningSocket::ListeningSocket(ListeningSocket&& other) noexcept
    : fd_(std::move(other.fd_)), address_(std::move(other.address_)) {}

ListeningSocket::~ListeningSocket() {
  close();
}

void ListeningSocket::close() {
  if (fd_ && !address_.path.empty()) ::unlink(address_.path.c_str());
  fd_.reset();
}

}  // namespace vmm::gdb
