#include "vmm/gdb/listening_socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
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
  if (!address.path.empty()) {
    constexpr std::string_view kWhat = "gdb server: unix:";
    UVMM_TRY(auto local, pins::LocalListener::open(address.path, pins::SocketKind::Stream, kWhat));
    return ListeningSocket(std::move(local), address);
  }
  UVMM_TRY(Endpoint endpoint, endpoint_of(address));
  Fd fd(::socket(endpoint.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return failed(address, "socket");
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), endpoint.get(), endpoint.bytes) != 0) return failed(address, "bind");
  constexpr int kBacklog = 8;
  if (::listen(fd.get(), kBacklog) != 0) return failed(address, "listen");
  ListenAddress actual = address;
  actual.port = bound_port(fd, address.port);
  return ListeningSocket(std::move(fd), std::move(actual));
}

int ListeningSocket::fd() const {
  return local_ ? local_->fd() : port_.get();
}

void ListeningSocket::close() {
  if (local_) local_->close();
  port_.reset();
}

}  // namespace vmm::gdb
