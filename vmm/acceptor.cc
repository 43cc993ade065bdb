#include "vmm/acceptor.h"

#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#include "vmm/log.h"

namespace vmm {

namespace asio = boost::asio;

struct Acceptor::Parts {
  void accept_next() {
    waiting.async_wait(asio::posix::descriptor_base::wait_read,
                       [this](const boost::system::error_code& error) {
                         if (!error && waiting.is_open()) accept();
                       });
  }
  void accept();

  asio::posix::stream_descriptor waiting;
  asio::steady_timer retry;
  const char* const failure;
  const Take take;
};

void Acceptor::Parts::accept() {
  sockaddr_storage peer{};
  socklen_t bytes = sizeof peer;
  const int listening = waiting.native_handle();
  Fd socket(::accept4(listening, reinterpret_cast<sockaddr*>(&peer), &bytes, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (socket) {
    take(std::move(socket), peer.ss_family);
  } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
    // The connection stays in the queue, and waiting for it would return at once, for ever.
    log::event(log::Level::Warning, failure, {{"error", std::system_category().message(errno)}});
    retry.expires_after(std::chrono::seconds(1));
    return retry.async_wait([this](const boost::system::error_code& error) {
      if (!error && waiting.is_open()) accept_next();
    });
  }
  accept_next();
}

Acceptor::Acceptor(asio::io_context& io, int listening, const char* failure, Take take)
    : parts_(new Parts{asio::posix::stream_descriptor(io, listening), asio::steady_timer(io), failure,
                       std::move(take)}) {}

Acceptor::~Acceptor() {
  stop();
}

void Acceptor::start() {
  parts_->accept_next();
}

void Acceptor::stop() {
  if (parts_->waiting.is_open()) parts_->waiting.release();
  parts_->retry.cancel();
}

}  // namespace vmm
