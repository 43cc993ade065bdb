#include "vmm/virtio/vsock/connection.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <string>
#include <utility>

#include "vmm/virtio/guest_bytes.h"

namespace vmm::virtio::vsock {
namespace {

/// What Linux' driver has room for in one packet.
constexpr std::size_t kMostPacketBytes = 65536;

constexpr std::uint32_t bit(Operation operation) {
  return 1U << static_cast<unsigned>(operation);
}

/// Whether the other end is closed altogether, and has not only ended its sending.
bool is_hung_up(int socket) {
  pollfd state{socket, 0, 0};
  return ::poll(&state, 1, 0) > 0 && (state.revents & (POLLHUP | POLLERR)) != 0;
}

ssize_t send_parts(int socket, std::span<const iovec> parts) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  ssize_t sent = -1;
  do sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  return sent;
}

/// The first parts, of `most` bytes together.
std::vector<iovec> first_bytes(std::span<const iovec> parts, std::size_t most) {
  std::vector<iovec> first;
  for (const iovec& part : parts) {
    if (most == 0) break;
    first.push_back({part.iov_base, std::min(part.iov_len, most)});
    most -= first.back().iov_len;
  }
  return first;
}

}  // namespace

Connection::Connection(Setup setup)
    : guest_cid_(setup.guest_cid),
      ports_(setup.ports),
      socket_(std::move(setup.socket)),
      watch_(setup.io, socket_.get()),
      wake_(std::move(setup.wake)),
      phase_(setup.called_by == CalledBy::Host ? Phase::Asked : Phase::Open),
      owed_(bit(setup.called_by == CalledBy::Host ? Operation::Request : Operation::Response)) {}

Header Connection::header(Operation operation) {
  Header made;
  made.source_cid = kHostCid;
  made.destination_cid = guest_cid_;
  made.source_port = ports_.host;
  made.destination_port = ports_.guest;
  made.operation = static_cast<std::uint16_t>(operation);
  credit_.tell(made);
  return made;
}

void Connection::wait(FdWatch::For what) {
  watch_.wait(what, [this, what] {
    if (what == FdWatch::For::Reading) {
      readable_ = true;
    } else {
      write_more();
    }
    // Who is woken may end this.
    const auto wake = wake_;
    wake();
  });
}

// ---- from the guest

void Connection::take(const Header& header, std::span<const iovec> data) {
  if (phase_ == Phase::Over) return;
  credit_.hear(header);
  // Who is told "still nothing" does not ask again: that would go on for ever.
  if (credit_.to_send() != 0) credit_asked_ = false;
  switch (static_cast<Operation>(header.operation)) {
    case Operation::Response:
      return take_response();
    case Operation::Data:
      return take_data(header, data);
    case Operation::Shutdown:
      return take_shutdown(header.flags & kNothing);
    case Operation::CreditUpdate:
      return;
    case Operation::CreditRequest:
      owed_ |= bit(Operation::CreditUpdate);
      return;
    case Operation::Reset:
      owed_ = 0;
      phase_ = Phase::Over;
      // Who had said before that nothing more would come has sent all there is; else it is an abort.
      if ((guest_shut_ & kNoSending) == 0) unwritten_.clear();
      return settle();
    case Operation::Request:  // of a connection that is there
    case Operation::Invalid:
      break;
  }
  reset();
}

void Connection::take_response() {
  if (phase_ != Phase::Asked) return reset();
  phase_ = Phase::Open;
  const std::string answer = "OK " + std::to_string(ports_.host) + "\n";
  const auto sent = ::send(socket_.get(), answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent != static_cast<ssize_t>(answer.size())) reset();
}

void Connection::take_data(const Header& header, std::span<const iovec> data) {
  if (phase_ != Phase::Open || (guest_shut_ & kNoSending) != 0 || !credit_.may_receive(header.bytes)) {
    return reset();
  }
  credit_.received(header.bytes);
  if (!host_reads_) return credit_.forwarded(header.bytes);
  std::size_t written = 0;
  if (unwritten_.empty() && header.bytes > 0) {
    const ssize_t sent = send_parts(socket_.get(), data);
    if (sent < 0 && errno != EAGAIN) {
      credit_.forwarded(header.bytes);
      return host_has_closed();
    }
    written = sent < 0 ? 0 : static_cast<std::size_t>(sent);
  }
  credit_.forwarded(static_cast<std::uint32_t>(written));
  if (written < header.bytes) {
    const std::size_t before = unwritten_.size();
    unwritten_.resize(before + header.bytes - written);
    if (!copy_from(data, written, std::span(unwritten_).subspan(before))) return reset();
    wait(FdWatch::For::Writing);
  }
  if (credit_.wants_update()) owed_ |= bit(Operation::CreditUpdate);
}

void Connection::take_shutdown(std::uint32_t flags) {
  if (phase_ != Phase::Open) return reset();
  guest_shut_ |= flags;
  if ((guest_shut_ & kNoReceiving) != 0) ::shutdown(socket_.get(), SHUT_RD);
  settle();
}

void Connection::reset() {
  phase_ = Phase::Over;
  owed_ = bit(Operation::Reset);
  unwritten_.clear();
  ::shutdown(socket_.get(), SHUT_RDWR);
}

// ---- to and from the host's program

void Connection::write_more() {
  while (!unwritten_.empty()) {
    const ssize_t sent =
        ::send(socket_.get(), unwritten_.data(), unwritten_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return wait(FdWatch::For::Writing);
    if (sent < 0) {
      credit_.forwarded(static_cast<std::uint32_t>(unwritten_.size()));
      unwritten_.clear();
      return host_has_closed();
    }
    credit_.forwarded(static_cast<std::uint32_t>(sent));
    unwritten_.erase(unwritten_.begin(), unwritten_.begin() + sent);
  }
  if (phase_ == Phase::Open && credit_.wants_update()) owed_ |= bit(Operation::CreditUpdate);
  settle();
}

/// It will not read any more. What it has written before is to be read still.
void Connection::host_has_closed() {
  host_reads_ = false;
  if (phase_ == Phase::Open) shut(kNoReceiving);
  settle();
}

void Connection::shut(std::uint32_t flags) {
  if ((we_shut_ | flags) == we_shut_) return;
  we_shut_ |= flags;
  owed_ |= bit(Operation::Shutdown);
}

void Connection::settle() {
  if (!unwritten_.empty()) return;
  if ((guest_shut_ & kNoSending) != 0 || phase_ == Phase::Over) ::shutdown(socket_.get(), SHUT_WR);
  if (phase_ != Phase::Open || guest_shut_ != kNothing) return;
  // The guest waits for this to forget it.
  phase_ = Phase::Over;
  owed_ = bit(Operation::Reset);
  ::shutdown(socket_.get(), SHUT_RDWR);
}

// ---- to the guest

bool Connection::has_something() const {
  if (owed_ != 0) return true;
  const bool reads =
      phase_ == Phase::Open && (we_shut_ & kNoSending) == 0 && (guest_shut_ & kNoReceiving) == 0;
  return reads && readable_ && (credit_.to_send() != 0 || !credit_asked_);
}

std::optional<Header> Connection::give(std::span<const iovec> room) {
  if (auto owed = give_owed()) return owed;
  return has_something() ? give_data(room) : std::nullopt;
}

std::optional<Header> Connection::give_owed() {
  if (owed_ == 0) return std::nullopt;
  const auto operation = static_cast<Operation>(std::countr_zero(owed_));
  owed_ &= owed_ - 1;
  // Each packet tells of the credit.
  owed_ &= ~bit(Operation::CreditUpdate);
  Header made = header(operation);
  if (operation == Operation::Shutdown) made.flags = we_shut_;
  return made;
}

std::optional<Header> Connection::give_data(std::span<const iovec> room) {
  const std::size_t most = std::min<std::size_t>({size_of(room), credit_.to_send(), kMostPacketBytes});
  if (credit_.to_send() == 0) {
    credit_asked_ = true;
    return header(Operation::CreditRequest);
  }
  const std::vector<iovec> parts = first_bytes(room, most);
  if (parts.empty()) return std::nullopt;
  ssize_t got = -1;
  do got = ::readv(socket_.get(), parts.data(), static_cast<int>(parts.size()));
  while (got < 0 && errno == EINTR);
  if (got > 0) {
    Header made = header(Operation::Data);
    made.bytes = static_cast<std::uint32_t>(got);
    credit_.sent(made.bytes);
    return made;
  }
  if (got < 0 && errno == EAGAIN) {
    readable_ = false;
    wait(FdWatch::For::Reading);
    return std::nullopt;
  }
  shut(got == 0 && !is_hung_up(socket_.get()) ? kNoSending : kNothing);
  return give_owed();
}

}  // namespace vmm::virtio::vsock
