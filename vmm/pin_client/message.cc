#include "vmm/pin_client/message.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <memory>

namespace vmm::pins {
namespace {

constexpr std::size_t kControlBytes = CMSG_SPACE(sizeof(int) * kMostFds);

struct alignas(cmsghdr) Control {
  std::array<std::byte, kControlBytes> bytes{};
};

/// From here on they are owned, whatever becomes of the message.
void take_fds(msghdr& header, std::vector<Fd>& fds) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      fds.emplace_back(fd);
    }
  }
}

uvm::Error failed(std::string_view call) {
  const int number = errno;
  if (number == EAGAIN) return {uvm::ErrorKind::Busy, "socket: the peer is slower"};
  if (number == EPIPE || number == ECONNRESET) {
    return {uvm::ErrorKind::EndOfObject, "socket: the peer has gone"};
  }
  return uvm::Error::from_errno(number, "socket: " + std::string(call));
}

}  // namespace

void Message::put_text(std::string_view text) {
  const auto raw = std::as_bytes(std::span(text));
  bytes_.insert(bytes_.end(), raw.begin(), raw.end());
}

std::string_view Message::take_text() {
  const auto* begin = reinterpret_cast<const char*>(bytes_.data() + taken_);
  const std::string_view text(begin, left());
  taken_ = bytes_.size();
  return text;
}

uvm::Status send(int socket, const Message& message) {
  const auto bytes = message.bytes();
  // sendmsg() only reads them.
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  Control control;
  if (!message.fds.empty()) {
    header.msg_control = control.bytes.data();
    header.msg_controllen = CMSG_SPACE(sizeof(int) * message.fds.size());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * message.fds.size());
    for (std::size_t i = 0; i < message.fds.size(); ++i) {
      const int fd = message.fds[i].get();
      std::memcpy(CMSG_DATA(rights) + i * sizeof fd, &fd, sizeof fd);
    }
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return failed("sendmsg");
  return uvm::ok();
}

uvm::Result<Message> receive(int socket) {
  // Room for the largest one, of which the usual one touches the first page.
  const auto room = std::make_unique_for_overwrite<std::byte[]>(kMostBytes);
  iovec part{room.get(), kMostBytes};
  Control control;
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes.data();
  header.msg_controllen = control.bytes.size();
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return failed("recvmsg");
  std::vector<Fd> fds;
  take_fds(header, fds);
  // An empty packet and the end look alike; nobody sends empty ones.
  if (got == 0) return uvm::Error(uvm::ErrorKind::EndOfObject, "socket: the peer has gone");
  if ((static_cast<unsigned>(header.msg_flags) & static_cast<unsigned>(MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return uvm::Error(uvm::ErrorKind::Invalid, "socket: a message of more than " +
                                                   std::to_string(kMostBytes) + " bytes or " +
                                                   std::to_string(kMostFds) + " descriptors");
  }
  Message message(std::vector<std::byte>(room.get(), room.get() + got));
  message.fds = std::move(fds);
  return message;
}

}  // namespace vmm::pins
