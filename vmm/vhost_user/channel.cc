#include "vmm/vhost_user/channel.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace vmm::vhost_user {
namespace {

constexpr const char* kWayOut = "start the back end first, and give its socket's path";

}  // namespace

uvm::Error Channel::failed(const char* call, int number) const {
  const std::string where = "vhost-user socket " + path_ + ": ";
  if (number == EPIPE || number == ECONNRESET) {
    return {uvm::ErrorKind::EndOfObject, where + "the back end has gone"};
  }
  if (number == EAGAIN) return {uvm::ErrorKind::Busy, where + "the back end does not answer"};
  return uvm::Error::from_errno(number, where + call);
}

uvm::Error Channel::why_readable() const {
  std::byte any{};
  if (::recv(fd(), &any, sizeof any, MSG_PEEK | MSG_DONTWAIT) <= 0) return failed("recv", EPIPE);
  return {uvm::ErrorKind::Invalid,
          "vhost-user socket " + path_ + ": the back end speaks without being asked"};
}

uvm::Result<Channel> Channel::connect(const std::string& path, std::chrono::seconds limit) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return uvm::Error(uvm::ErrorKind::Invalid, "vhost-user socket '" + path + "': a socket's path has 1 to " +
                                                   std::to_string(sizeof address.sun_path - 1) + " bytes");
  }
  std::ranges::copy(path, static_cast<char*>(address.sun_path));
  Channel channel(Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), path);
  if (!channel.socket_) return channel.failed("socket", errno);
  const timeval most{.tv_sec = limit.count(), .tv_usec = 0};
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    if (::setsockopt(channel.fd(), SOL_SOCKET, option, &most, sizeof most) < 0) {
      return channel.failed("setsockopt", errno);
    }
  }
  if (::connect(channel.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    return uvm::Error::from_errno(errno, "vhost-user socket " + path + ": no back end answers", kWayOut);
  }
  return channel;
}

uvm::Status Channel::send(Request request, std::span<const std::byte> payload, std::uint32_t flags,
                          std::span<const int> fds) {
  Header head;
  head.request = static_cast<std::uint32_t>(request);
  head.flags |= flags;
  head.bytes = static_cast<std::uint32_t>(payload.size());
  std::vector<std::byte> message(sizeof head + payload.size());
  std::memcpy(message.data(), &head, sizeof head);
  std::ranges::copy(payload, message.begin() + sizeof head);
  iovec part{message.data(), message.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * kMostRegions)> control{};
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  while (part.iov_len > 0) {
    const ssize_t sent = ::sendmsg(fd(), &header, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return failed("sendmsg", errno);
    part.iov_base = static_cast<std::byte*>(part.iov_base) + sent;
    part.iov_len -= static_cast<std::size_t>(sent);
    header.msg_control = nullptr;  // they went with the first byte
    header.msg_controllen = 0;
  }
  return uvm::ok();
}

uvm::Status Channel::read_exactly(std::span<std::byte> data) {
  while (!data.empty()) {
    const ssize_t got = ::recv(fd(), data.data(), data.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("recv", errno);
    if (got == 0) return failed("recv", EPIPE);
    data = data.subspan(static_cast<std::size_t>(got));
  }
  return uvm::ok();
}

uvm::Result<std::vector<std::byte>> Channel::receive(Request request) {
  Header head;
  UVMM_CHECK(read_exactly(std::as_writable_bytes(std::span(&head, 1))));
  const bool is_answer = head.request == static_cast<std::uint32_t>(request) &&
                         (head.flags & kVersionMask) == kVersion && (head.flags & kFlagReply) != 0;
  if (!is_answer || head.bytes > kMostPayloadBytes) {
    return uvm::Error(uvm::ErrorKind::Invalid,
                      "vhost-user socket " + path_ + ": message " + std::to_string(head.request) + " of " +
                          std::to_string(head.bytes) + " bytes instead of an answer to " +
                          std::to_string(static_cast<std::uint32_t>(request)),
                      "use a back end that speaks version 1 of vhost-user");
  }
  std::vector<std::byte> payload(head.bytes);
  UVMM_CHECK(read_exactly(payload));
  return payload;
}

}  // namespace vmm::vhost_user
