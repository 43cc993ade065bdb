#include "tests/support/rsp_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "vmm/gdb/packet_writer.h"

namespace test {
namespace {

vmm::Fd connected(const sockaddr* address, socklen_t bytes) {
  vmm::Fd fd(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || ::connect(fd.get(), address, bytes) != 0) return {};
  return fd;
}

vmm::Fd connect_to(const vmm::gdb::ListenAddress& where) {
  if (!where.path.empty()) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, where.path.data(), where.path.size());
    return connected(reinterpret_cast<const sockaddr*>(&name), sizeof name);
  }
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(where.port);
  ::inet_pton(AF_INET, where.host.c_str(), &name.sin_addr);
  return connected(reinterpret_cast<const sockaddr*>(&name), sizeof name);
}

}  // namespace

RspClient::RspClient(const vmm::gdb::ListenAddress& address) : fd_(connect_to(address)) {}

bool RspClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool RspClient::read_more() {
  pollfd wait{fd_.get(), POLLIN, 0};
  if (::poll(&wait, 1, kPatience * 1000) <= 0) return false;
  std::array<char, 65536> block{};
  const ssize_t got = ::recv(fd_.get(), block.data(), block.size(), 0);
  if (got <= 0) return false;
  bytes_.append(block.data(), static_cast<std::size_t>(got));
  return true;
}

std::optional<std::string> RspClient::receive() {
  do {
    std::string_view rest = bytes_;
    while (auto event = reader_.next(rest)) {
      if (event->kind != vmm::gdb::PacketEvent::Kind::Packet) continue;
      bytes_.erase(0, bytes_.size() - rest.size());
      return std::move(event->payload);
    }
    bytes_.clear();
  } while (read_more());
  return std::nullopt;
}

std::optional<std::string> RspClient::ask(std::string_view payload) {
  if (!send(vmm::gdb::framed(payload))) return std::nullopt;
  return receive();
}

bool RspClient::sees_the_end() {
  bytes_.clear();
  for (;;) {
    pollfd wait{fd_.get(), POLLIN, 0};
    if (::poll(&wait, 1, kPatience * 1000) <= 0) return false;
    std::array<char, 65536> block{};
    if (::recv(fd_.get(), block.data(), block.size(), 0) <= 0) return true;
  }
}

}  // namespace test
