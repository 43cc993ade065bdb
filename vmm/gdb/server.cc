#include "vmm/gdb/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "vmm/acceptor.h"
#include "vmm/confine/confinement.h"
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
  Parts(const Options& its_options, Target& its_target, std::optional<ListeningSocket> its_socket)
      : options(its_options),
        target(its_target),
        listening(std::move(its_socket)),
        address(listening ? listening->address() : ListenAddress{}),
        inherited(its_options.inherited) {
    if (!listening) return;
    acceptor.emplace(io, listening->fd(), "debugger could not be let in", [this](Fd socket, int family) {
      if (!ending) take(std::move(socket), family);
    });
  }
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  void take(Fd socket, int family);
  /// The debugger of the machine that this one is a copy of.
  void take_inherited();
  void open(Fd socket, int family, std::function<void()> closed);
  void finish(int status);

  const Options options;
  Target& target;
  asio::io_context io{1};
  std::optional<ListeningSocket> listening;
  const ListenAddress address;
  Fd inherited;
  bool is_inherited = false;  // the connection is the inherited debugger's
  bool gives_way = false;     // the inherited debugger is closed for another one's sake
  std::atomic<bool> ending{false};
  std::shared_ptr<Connection> connection;  // the server's thread only
  std::optional<Acceptor> acceptor;
  std::thread thread;
};

void Server::Parts::take(Fd socket, int family) {
  if (const std::shared_ptr<Connection> silent = connection; silent != nullptr && silent->is_idle()) {
    gives_way = is_inherited;
    if (gives_way) silent->close();
    gives_way = false;
  }
  // Whoever comes in may be the one that has just left, before the end of its last visit was noticed.
  if (const std::shared_ptr<Connection> last = connection; last != nullptr && !last->has_ended()) {
    log::event(log::Level::Warning, "a second debugger was refused", {{"address", to_string(address)}});
    return;
  }
  if (family == AF_INET || family == AF_INET6) {
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  }
  log::event(log::Level::Info, "debugger connected", {{"address", to_string(address)}});
  open(std::move(socket), family, [] { log::event(log::Level::Info, "debugger has gone"); });
}

void Server::Parts::take_inherited() {
  is_inherited = true;
  open(std::move(inherited), AF_UNIX, [this] {
    is_inherited = false;
    // It may have gone without having let the machine run, or without having looked at it.
    if (!gives_way && !ending) target.detach(AfterDetach::Run);
  });
}

void Server::Parts::open(Fd socket, int family, std::function<void()> closed) {
  connection = Connection::create({io, target, options.on_kill, options.on_disconnect, ending,
                                   [this, closed = std::move(closed)] {
                                     connection.reset();
                                     closed();
                                   }},
                                  std::move(socket), family);
  // A copy: the connection may close itself, and be let go, before start() returns.
  const std::shared_ptr<Connection> starting = connection;
  starting->start();
}

void Server::Parts::finish(int status) {
  if (const std::shared_ptr<Connection> last = connection) last->finish(status);
  // Before the descriptor is closed, which is the listening socket's.
  if (acceptor) acceptor->stop();
  if (listening) listening->close();
}

uvm::Result<std::unique_ptr<Server>> Server::create(const Options& options, Target& target) {
  if (!options.listen && options.inherited < 0) {
    return uvm::Error(uvm::ErrorKind::Invalid, "gdb server: no address", "give --gdb");
  }
  std::optional<ListeningSocket> socket;
  if (options.listen) {
    UVMM_TRY(auto opened, ListeningSocket::open(*options.listen));
    socket.emplace(std::move(opened));
  }
  return std::unique_ptr<Server>(new Server(std::make_unique<Parts>(options, target, std::move(socket))));
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() {
  finish(0);
}

uvm::Status Server::start() {
  Parts& parts = *parts_;
  if (parts.acceptor) parts.acceptor->start();
  if (parts.inherited) asio::post(parts.io, [&parts] { parts.take_inherited(); });
  try {
    parts.thread = std::thread([&parts] {
      confine::enter(confine::ThreadKind::Debugger);
      serve(parts.io);
    });
  } catch (const std::system_error& failure) {
    return uvm::Error::from_errno(failure.code().value(), "gdb server: thread");
  }
  log::event(log::Level::Info, "gdb server listens", {{"address", to_string(parts.address)}});
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
  return parts_->address;
}

}  // namespace vmm::gdb
