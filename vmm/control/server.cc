#include "vmm/control/server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <list>
#include <system_error>
#include <thread>
#include <utility>

#include "vmm/acceptor.h"
#include "vmm/log.h"
#include "vmm/pin_client/local_socket.h"

namespace vmm::control {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kMostClients = 64;

/// One connection. Reads a request when the answer to the last one is gone.
class Client {
 public:
  Client(asio::io_context& io, Fd socket, const Environment& environment, bool& paused)
      : socket_(io, socket.release()), session_(environment, paused) {}

  /// Calls `gone` once, when nothing more will come.
  void serve(std::function<void()> gone) {
    gone_ = std::move(gone);
    wait();
  }

 private:
  void wait() {
    socket_.async_wait(asio::posix::descriptor_base::wait_read,
                       [this](const boost::system::error_code& error) {
                         if (error == asio::error::operation_aborted) return;
                         error || !answer() ? gone_() : wait();
                       });
  }

  /// Whether the connection goes on.
  bool answer() {
    const auto request = pins::receive(socket_.native_handle());
    if (!request) return request.error().kind() == uvm::ErrorKind::Busy;
    const auto sent = pins::send(socket_.native_handle(), session_.answer(*request));
    if (sent) return true;
    log::event(log::Level::Info, "control connection is let go", {{"error", sent.error().text()}});
    return false;
  }

  asio::posix::stream_descriptor socket_;
  Session session_;
  std::function<void()> gone_;
};

}  // namespace

struct Server::Parts {
  Parts(pins::LocalListener its_listener, Environment its_environment)
      : environment(std::move(its_environment)),
        listener(std::move(its_listener)),
        acceptor(io, listener.fd(), "control connection could not be let in",
                 [this](Fd socket, int /*family*/) { take(std::move(socket)); }) {}
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  void take(Fd socket);
  void finish() {
    clients.clear();
    acceptor.stop();
    listener.close();
  }

  const Environment environment;
  asio::io_context io{1};
  pins::LocalListener listener;
  bool paused = false;        // the server's thread only, once it runs
  std::list<Client> clients;  // the same
  Acceptor acceptor;
  std::thread thread;
};

void Server::Parts::take(Fd socket) {
  const auto peer = pins::peer_of(socket.get());
  if (!peer || clients.size() >= kMostClients) {
    return log::event(log::Level::Warning, "control connection was refused",
                      {{"error", peer ? std::string("there are too many") : peer.error().text()}});
  }
  const auto client = clients.emplace(clients.end(), io, std::move(socket), environment, paused);
  client->serve([this, client] { clients.erase(client); });
}

uvm::Result<std::unique_ptr<Server>> Server::create(const std::string& path, Environment environment) {
  UVMM_TRY(pins::LocalListener listener, pins::LocalListener::open(path));
  return std::unique_ptr<Server>(
      new Server(std::make_unique<Parts>(std::move(listener), std::move(environment))));
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() {
  finish();
}

void Server::start_paused() {
  parts_->paused = true;
}

uvm::Status Server::start() {
  Parts& parts = *parts_;
  parts.acceptor.start();
  try {
    parts.thread = std::thread([&parts] { parts.io.run(); });
  } catch (const std::system_error& failure) {
    return uvm::Error::from_errno(failure.code().value(), "control socket: thread");
  }
  log::event(log::Level::Info, "control socket listens", {{"path", parts.listener.path()}});
  return uvm::ok();
}

void Server::finish() {
  Parts& parts = *parts_;
  if (!parts.thread.joinable()) return;
  asio::post(parts.io, [&parts] { parts.finish(); });
  parts.thread.join();
  if (std::exchange(parts.paused, false)) parts.environment.resume();
}

}  // namespace vmm::control
