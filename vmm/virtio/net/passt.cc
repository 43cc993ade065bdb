#include "vmm/virtio/net/passt.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "vmm/text.h"
#include "vmm/virtio/guest_bytes.h"

namespace vmm::virtio::net {
namespace {

constexpr std::size_t kLengthBytes = sizeof(std::uint32_t);
/// Some long frames or many short ones with one system call.
constexpr std::size_t kReadBytes = std::size_t{256} << 10;
/// More than that passt does not take.
constexpr std::size_t kMostSentBytes = 65535;

bool is_end(int number) {
  return number == EPIPE || number == ECONNRESET || number == ENOTCONN;
}

}  // namespace

uvm::Result<std::unique_ptr<Passt>> Passt::start() {
  UVMM_TRY(PasstProcess process, PasstProcess::start());
  auto link = std::make_unique<Passt>(process.take_socket(), "passt");
  link->process_.emplace(std::move(process));
  return link;
}

uvm::Result<std::unique_ptr<Passt>> Passt::connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return uvm::Error(uvm::ErrorKind::Invalid, "passt's socket '" + one_line(path) +
                                                   "': a socket's path has 1 to " +
                                                   std::to_string(sizeof address.sun_path - 1) + " bytes");
  }
  std::ranges::copy(path, static_cast<char*>(address.sun_path));
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return uvm::Error::from_errno(
        errno, "passt's socket " + path,
        "start it first: passt --socket " + path + "; or leave the path out, and one is started");
  }
  ::fcntl(socket.get(), F_SETFL, O_NONBLOCK);
  return std::make_unique<Passt>(std::move(socket), "passt at " + path);
}

Passt::Passt(Fd socket, std::string name)
    : socket_(std::move(socket)), name_(std::move(name)), read_(kReadBytes) {}

uvm::Status Passt::agree(std::uint64_t features) {
  data_valid_ = (features & feature::kGuestCsum) != 0;
  return uvm::ok();
}

std::string Passt::reason() {
  const std::string said = process_ ? process_->last_words() : std::string();
  if (reason_.empty()) reason_ = "it has ended";
  return said.empty() ? reason_ : reason_ + ": " + said;
}

Outcome Passt::flush() {
  while (!unsent_.empty()) {
    const ssize_t sent = ::send(socket_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return is_end(errno) ? Outcome::Gone : Outcome::Later;
    unsent_.erase(unsent_.begin(), unsent_.begin() + sent);
  }
  return Outcome::Done;
}

Outcome Passt::send(const Header& /*header*/, std::span<const iovec> parts) {
  if (const Outcome before = flush(); before != Outcome::Done) return before;
  const std::size_t bytes = size_of(parts);
  if (bytes > kMostSentBytes) return Outcome::Refused;
  std::uint32_t length = ::htonl(static_cast<std::uint32_t>(bytes));
  parts_.assign(1, {&length, kLengthBytes});
  parts_.insert(parts_.end(), parts.begin(), parts.end());
  msghdr message{};
  message.msg_iov = parts_.data();
  message.msg_iovlen = parts_.size();
  ssize_t sent = -1;
  while ((sent = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT)) < 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == ENOBUFS) return Outcome::Later;
    return is_end(errno) ? Outcome::Gone : Outcome::Refused;
  }
  const std::size_t left = kLengthBytes + bytes - static_cast<std::size_t>(sent);
  if (left == 0) return Outcome::Done;
  // Its begin has gone, so its end must follow, whatever the guest does with the bytes now.
  unsent_.resize(left);
  if (!copy_from(parts_, static_cast<std::size_t>(sent), unsent_)) std::ranges::fill(unsent_, std::byte{0});
  return Outcome::Done;
}

Outcome Passt::fill() {
  if (begin_ != 0) {
    std::memmove(read_.data(), read_.data() + begin_, unread());
    end_ -= std::exchange(begin_, 0);
  }
  for (;;) {
    const ssize_t got = ::recv(socket_.get(), read_.data() + end_, read_.size() - end_, MSG_DONTWAIT);
    if (got > 0) {
      end_ += static_cast<std::size_t>(got);
      return Outcome::Done;
    }
    if (got == 0) return Outcome::Gone;
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Outcome::Later;
    if (!is_end(errno)) reason_ = "its socket: " + std::system_category().message(errno);
    return Outcome::Gone;
  }
}

Outcome Passt::receive(std::span<const iovec> parts, Incoming& frame) {
  std::uint32_t length = 0;
  for (;;) {
    if (unread() >= kLengthBytes) {
      std::memcpy(&length, read_.data() + begin_, sizeof length);
      length = ::ntohl(length);
      if (length < kLeastFrameBytes || length > kMostFrameBytes) {
        reason_ = "it has sent a frame of " + std::to_string(length) + " bytes";
        return Outcome::Gone;
      }
      if (unread() - kLengthBytes >= length) break;
    }
    if (const Outcome more = fill(); more != Outcome::Done) return more;
  }
  const std::span whole(read_.data() + begin_ + kLengthBytes, length);
  begin_ += kLengthBytes + length;
  frame.header = {};
  if (data_valid_) frame.header.flags = Header::kDataValid;
  frame.bytes = length;
  const auto copied = copy_to(parts, 0, whole);
  if (!copied) return Outcome::Refused;
  frame.rest = whole.subspan(*copied);
  return Outcome::Done;
}

}  // namespace vmm::virtio::net
