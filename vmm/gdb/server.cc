#include "vmm/gdb/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

#include "vmm/acceptor.h"
#include "vmm/gdb/connection.h"
#include "vmm/gdb/listening_socket.h"
#include "vmm/log.h"

namespace vmm::gdb {

namespace asio = boost::asio;

namespace {

/// How long the server's thread looks for the next packet before it sleeps. A debugger asks one small
/// question after another, and to be woken for each costs more than any answer: 30 us where the host is a
/// guest itself.
constexpr std::chrono::microseconds kLook{60};

/// asio's run(), but for the looking.
void serve(asio::io_context& io) {
  while (io.run_one() != 0) {
    auto until = std::chrono::steady_clock::now() + kLook;
    while (std::chrono::steady_clock::now() < until) {
      if (io.poll() != 0) until = std::chrono::steady_clock::now() + kLook;
      // Whoever is to ask, or a vCPU that is to stop, may need this very processor.
      static_cast<void>(::sched_yield());
    }
  }
}

}  // namespace

struct Server::Parts {
  Parts(const Options& its_options, Target& its_target, ListeningSocket its_socket)
      : options(its_options),
        target(its_target),
        listening(std::move(its_socket)),
        acceptor(io, listening.fd(), "debugger could not be let in", [this](Fd socket, int family) {
          if (!ending) take(std::move(socket), family);
        }) {}
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  void take(Fd socket, int family);
  void finish(int status);

  const Options options;
  Target& target;
  asio::io_context io{1};
  ListeningSocket listening;
  std::atomic<bool> ending{false};
  std::shared_ptr<Connection> connection;  // the server's thread only
  Acceptor acceptor;
  std::thread thread;
};

void Server::Parts::take(Fd socket, int family) {
  // Whoever comes in may be the one that has just left, before the end of its last visit was noticed.
  if (const std::shared_ptr<Connection> last = connection; last != nullptr && !last->has_ended()) {
    log::event(log::Level::Warning, "a second debugger was refused",
               {{"address", to_string(listening.address())}});
    return;
  }
  if (family == AF_INET || family == AF_INET6) {
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  }
  log::event(log::Level::Info, "debugger connected", {{"address", to_string(listening.address())}});
  connection = Connection::create({io, target, options.on_kill, options.on_disconnect, ending,
                                   [this] {
                                     log::event(log::Level::Info, "debugger has gone");
                                     connection.reset();
                                   }},
                                  std::move(socket), family);
  // A copy: the connection may close itself, and be let go, before start() returns.
  const std::shared_ptr<Connection> starting = connection;
  starting->start();
}

void Server::Parts::finish(int status) {
  if (const std::shared_ptr<Connection> last = connection) last->finish(status);
  // Before the descriptor is closed, which is the listening socket's.
  acceptor.stop();
  listening.close();
}

uvm::Result<std::unique_ptr<Server>> Server::create(const Options& options, Target& target) {
  if (!options.listen) return uvm::Error(uvm::ErrorKind::Invalid, "gdb server: no address", "give --gdb");
  UVMM_TRY(auto socket, ListeningSocket::open(*options.listen));
  return std::unique_ptr<Server>(new Server(std::make_unique<Parts>(options, target, std::move(socket))));
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() {
  finish(0);
}

uvm::Status Server::start() {
  Parts& parts = *parts_;
  parts.acceptor.start();
  try {
    parts.thread = std::thread([&parts] { serve(parts.io); });
  } catch (const std::system_error& failure) {
    return uvm::Error::from_errno(failure.code().value(), "gdb server: thread");
  }
  log::event(log::Level::Info, "gdb server listens", {{"address", to_string(parts.listening.address())}});
  return uvm::ok();
}

void Server::finish(int status) {
  Parts& parts = *parts_;
  if (!parts.thread.joinable()) return;
  parts.ending = true;
  asio::post(parts.io, [&parts, status] { parts.finish(status); });
  parts.thread.join();
}

const ListenAddress& Server::address() const {
  return parts_->listening.address();
}

}  // namespace vmm::gdb
