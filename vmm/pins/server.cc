#include "vmm/pins/server.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <cstdint>
#include <functional>
#include <list>
#include <system_error>
#include <thread>
#include <utility>

#include "vmm/acceptor.h"
#include "vmm/log.h"
#include "vmm/pin_client/local_socket.h"

namespace vmm::pins {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kMostClients = 64;

/// One connection. Reads a request when the answer to the last one is gone.
class Client {
 public:
  Client(asio::io_context& io, Fd socket, const Environment& environment, pid_t peer)
      : socket_(io, socket.release()), bell_(io), ring_(environment.ring), session_(environment, peer) {}
  ~Client() {
    if (bell_.is_open()) bell_.release();  // the session's
    log::event(log::Level::Info, "device process has gone",
               {{"name", session_.name()},
                {"pins", std::to_string(session_.pins())},
                {"bytes", uvm::hex(session_.bytes())}});
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

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
    auto request = receive(socket_.native_handle());
    if (!request) {
      const auto kind = request.error().kind();
      if (kind == uvm::ErrorKind::Busy) return true;
      say(request.error());
      return false;
    }
    Session::Answer reply = session_.answer(std::move(*request));
    if (const auto sent = send(socket_.native_handle(), reply.message); !sent) {
      say(sent.error());
      return false;
    }
    if (session_.bell() >= 0 && !bell_.is_open()) {
      bell_.assign(session_.bell());
      wait_for_bell();
    }
    return !reply.ends;
  }

  void wait_for_bell() {
    bell_.async_wait(asio::posix::descriptor_base::wait_read, [this](const boost::system::error_code& error) {
      if (error) return;
      std::uint64_t rung = 0;
      // However often it was rung meanwhile, and whatever else happened to it, is one interrupt or none.
      if (::read(session_.bell(), &rung, sizeof rung) == sizeof rung) ring_();
      wait_for_bell();
    });
  }

  void say(const uvm::Error& error) const {
    if (error.kind() == uvm::ErrorKind::EndOfObject) return;
    log::event(log::Level::Warning, "device process is let go",
               {{"name", session_.name()}, {"error", error.text()}});
  }

  asio::posix::stream_descriptor socket_;
  asio::posix::stream_descriptor bell_;
  const std::function<void()> ring_;
  Session session_;
  std::function<void()> gone_;
};

}  // namespace

struct Server::Parts {
  Parts(LocalListener its_listener, Environment its_environment)
      : environment(std::move(its_environment)),
        listener(std::move(its_listener)),
        acceptor(io, listener.fd(), "device process could not be let in",
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
  LocalListener listener;
  std::list<Client> clients;  // the server's thread only
  Acceptor acceptor;
  std::thread thread;
};

void Server::Parts::take(Fd socket) {
  const auto peer = peer_of(socket.get());
  if (!peer) {
    return log::event(log::Level::Warning, "device process was refused", {{"error", peer.error().text()}});
  }
  if (clients.size() >= kMostClients) {
    return log::event(log::Level::Warning, "device process was refused",
                      {{"error", "there are " + std::to_string(kMostClients) + " of them"}});
  }
  log::event(log::Level::Info, "device process connected", {{"process", std::to_string(*peer)}});
  const auto client = clients.emplace(clients.end(), io, std::move(socket), environment, *peer);
  client->serve([this, client] { clients.erase(client); });
}

uvm::Result<std::unique_ptr<Server>> Server::create(const std::string& path, Environment environment) {
  UVMM_TRY(LocalListener listener, LocalListener::open(path));
  return std::unique_ptr<Server>(
      new Server(std::make_unique<Parts>(std::move(listener), std::move(environment))));
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() {
  finish();
}

uvm::Status Server::start() {
  Parts& parts = *parts_;
  parts.acceptor.start();
  try {
    parts.thread = std::thread([&parts] { parts.io.run(); });
  } catch (const std::system_error& failure) {
    return uvm::Error::from_errno(failure.code().value(), "pin socket: thread");
  }
  log::event(log::Level::Info, "pin socket listens", {{"path", parts.listener.path()}});
  return uvm::ok();
}

void Server::finish() {
  Parts& parts = *parts_;
  if (!parts.thread.joinable()) return;
  asio::post(parts.io, [&parts] { parts.finish(); });
  parts.thread.join();
}

}  // namespace vmm::pins
