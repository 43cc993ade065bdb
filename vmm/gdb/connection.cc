#include "vmm/gdb/connection.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <optional>
#include <utility>

#include "vmm/gdb/session.h"

namespace vmm::gdb {

namespace asio = boost::asio;
using Socket = asio::generic::stream_protocol::socket;
using SocketError = boost::system::error_code;

struct Connection::Channel {
  Channel(asio::io_context& io, Fd fd, int family)
      : socket(io, asio::generic::stream_protocol(family, 0), fd.release()), farewell(io) {}

  Socket socket;
  std::optional<asio::posix::stream_descriptor> copy;
  asio::steady_timer farewell;
  std::array<char, std::size_t{128} << 10U> buffer{};
};

std::shared_ptr<Connection> Connection::create(Environment environment, Fd socket, int family) {
  return std::shared_ptr<Connection>(new Connection(std::move(environment), std::move(socket), family));
}

Connection::Connection(Environment environment, Fd socket, int family)
    : environment_(std::move(environment)),
      channel_(std::make_unique<Channel>(environment_.io, std::move(socket), family)),
      session_(std::make_unique<Session>(environment_.target, *this, *this, environment_.on_kill,
                                         environment_.on_disconnect)) {
  SocketError ignored;
  channel_->socket.non_blocking(true, ignored);
}

Connection::~Connection() = default;

void Connection::start() {
  carry_on();
}

void Connection::wait_for_input() {
  if (std::exchange(reading_, true)) return;
  channel_->socket.async_wait(Socket::wait_read, [self = shared_from_this()](const SocketError& error) {
    self->reading_ = false;
    if (self->session_ == nullptr) return;
    if (error) return self->close();
    self->read();
  });
}

void Connection::read() {
  SocketError error;
  const std::size_t got = channel_->socket.read_some(asio::buffer(channel_->buffer), error);
  if (error == asio::error::would_block || error == asio::error::interrupted) return carry_on();
  if (error) return close();
  session_->receive({channel_->buffer.data(), got});
  follows_forks_ = session_->follows_forks();
  carry_on();
}

bool Connection::has_ended() {
  char next = 0;
  while (session_ != nullptr && !congested() && !session_->has_input() &&
         ::recv(channel_->socket.native_handle(), &next, 1, MSG_PEEK | MSG_DONTWAIT) >= 0) {
    read();
  }
  return session_ == nullptr;
}

void Connection::wait_for_room() {
  if (std::exchange(writing_, true)) return;
  channel_->socket.async_wait(Socket::wait_write, [self = shared_from_this()](const SocketError& error) {
    self->writing_ = false;
    if (self->session_ == nullptr) return;
    if (error) self->broken_ = true;
    self->flush();
    if (!self->congested()) self->session_->go_on();
    self->carry_on();
  });
}

void Connection::wait_for_copy(int socket) {
  if (std::exchange(awaits_copy_, true)) return;
  // A descriptor of its own: the session closes the copy's when it likes.
  Fd own(::fcntl(socket, F_DUPFD_CLOEXEC, 0));
  if (!own) {
    broken_ = true;
    return;
  }
  channel_->copy.emplace(environment_.io, own.release());
  channel_->copy->async_wait(asio::posix::stream_descriptor::wait_read,
                             [self = shared_from_this()](const SocketError& error) {
                               self->awaits_copy_ = false;
                               if (self->session_ == nullptr || error) return;
                               self->session_->copy_spoke();
                               self->carry_on();
                             });
}

void Connection::carry_on() {
  if (session_ == nullptr) return;
  if (const int socket = session_->copy_socket(); socket >= 0) wait_for_copy(socket);
  if (broken_ || (session_->is_over() && output_.empty())) return close();
  if (!output_.empty()) wait_for_room();
  if (session_->is_over()) {
    // Its last words are on their way; a peer that doesn't take them doesn't keep the place.
    channel_->farewell.expires_after(std::chrono::seconds(2));
    channel_->farewell.async_wait([self = shared_from_this()](const SocketError& error) {
      if (!error) self->close();
    });
  } else if (!congested() && !session_->has_input()) {
    wait_for_input();
  }
}

void Connection::send(std::string_view bytes) {
  if (broken_) return;
  output_ += bytes;
  flush();
  if (output_.size() > kHardLimit) {
    drain(kSoftLimit, kPatience);
    if (output_.size() > kHardLimit) broken_ = true;
  }
}

void Connection::flush() {
  std::size_t sent = 0;
  while (!broken_ && sent < output_.size()) {
    SocketError error;
    const std::size_t taken =
        channel_->socket.write_some(asio::buffer(output_.data() + sent, output_.size() - sent), error);
    sent += taken;
    if (error == asio::error::would_block) break;
    if (error && error != asio::error::interrupted) broken_ = true;
  }
  output_.erase(0, broken_ ? std::string::npos : sent);
}

void Connection::drain(std::size_t most, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!broken_ && output_.size() > most && !environment_.ending) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return;
    // In slices, so that the server's end is noticed.
    constexpr std::chrono::milliseconds kSlice{100};
    pollfd wait{channel_->socket.native_handle(), POLLOUT, 0};
    static_cast<void>(::poll(&wait, 1, static_cast<int>(std::min(left, kSlice).count())));
    flush();
  }
}

bool Connection::cancelled() {
  if (broken_ || environment_.ending) return true;
  constexpr char kInterrupt = '\x03';
  char next = 0;
  const ssize_t got = ::recv(channel_->socket.native_handle(), &next, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got < 0) return errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
  return got == 0 || next == kInterrupt;
}

void Connection::stopped(const StopEvent& event) {
  asio::post(environment_.io, [weak = weak_from_this(), event] {
    const auto self = weak.lock();
    if (self == nullptr || self->session_ == nullptr) return;
    self->session_->stopped(event);
    self->carry_on();
  });
}

bool Connection::forked(Fd door) {
  if (!follows_forks_) return false;
  asio::post(environment_.io, [weak = weak_from_this(), door = std::move(door)]() mutable {
    const auto self = weak.lock();
    if (self != nullptr && self->session_ != nullptr) self->session_->forked(std::move(door));
  });
  return true;
}

bool Connection::is_idle() const {
  return session_ != nullptr && session_->is_idle();
}

void Connection::finish(int status) {
  if (session_ == nullptr) return;
  session_->machine_ended(status);
  // The server is ending, so drain() would not wait; the last packet is small and the socket's buffer takes
  // it unless the peer has stopped reading.
  flush();
  close();
}

void Connection::close() {
  if (session_ == nullptr) return;
  session_.reset();
  SocketError ignored;
  channel_->farewell.cancel();
  channel_->copy.reset();
  channel_->socket.close(ignored);
  if (environment_.closed) environment_.closed();
}

}  // namespace vmm::gdb
