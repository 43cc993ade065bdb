#include "vmm/api/server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <exception>
#include <future>
#include <list>
#include <system_error>
#include <thread>
#include <utility>

#include "vmm/acceptor.h"
#include "vmm/api/connection.h"
#include "vmm/api/controller.h"
#include "vmm/confine/confinement.h"
#include "vmm/log.h"
#include "vmm/pin_client/local_listener.h"

namespace vmm::api {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kMostClients = 64;
/// How long the end of the process waits for what was sent to go out.
constexpr std::chrono::seconds kLastWords{1};

}  // namespace

struct Server::Parts {
  Parts(pins::LocalListener its_listener, MachineConfig config, Launcher& launcher)
      : controller(std::move(config), launcher),
        listener(std::move(its_listener)),
        acceptor(io, listener.fd(), "a client of the API could not be let in",
                 [this](Fd socket, int /*family*/) { take(std::move(socket)); }) {}
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  void take(Fd socket);
  [[nodiscard]] Answer answer(const Request& request);
  void listen_to(Guest& guest);
  void run();
  void finish();

  asio::io_context io{1};
  // The server's thread only, once it runs:
  Controller controller;
  Events::Subscription events;  // of the guest
  pins::LocalListener listener;
  std::list<std::shared_ptr<Connection>> connections;
  Acceptor acceptor;
  asio::steady_timer last_words{io};
  bool finishing = false;

  std::thread thread;
};

void Server::Parts::take(Fd socket) {
  const auto peer = pins::peer_of(socket.get());
  if (!peer || connections.size() >= kMostClients) {
    return log::event(
        log::Level::Warning, "a client of the API was refused",
        {{"error", peer ? "there are " + std::to_string(kMostClients) + " of them" : peer.error().text()}});
  }
  Connection::Callbacks callbacks{[this](const Request& request) { return answer(request); },
                                  [this](Connection& gone) {
                                    std::erase_if(connections,
                                                  [&gone](const auto& each) { return each.get() == &gone; });
                                    if (finishing && connections.empty()) io.stop();
                                  }};
  connections.push_back(Connection::create(io, std::move(socket), std::move(callbacks)));
  connections.back()->serve();
}

Answer Server::Parts::answer(const Request& request) {
  Guest* const before = controller.guest();
  Answer answer = controller.answer(request);
  if (controller.guest() != nullptr && controller.guest() != before) {
    confine::enter(confine::ThreadKind::Api);
    listen_to(*controller.guest());
  }
  return answer;
}

/// Lines come from whatever thread tells of events.
void Server::Parts::listen_to(Guest& guest) {
  events = guest.events().subscribe([this](const std::string& line) {
    asio::post(io, [this, line] {
      const auto readers = connections;  // some may go meanwhile
      for (const auto& reader : readers) reader->send_line(line);
    });
  });
}

void Server::Parts::run() {
  for (;;) {
    try {
      io.run();
      return;
    } catch (const std::exception& failure) {
      log::event(log::Level::Error, "a request to the API failed", {{"error", failure.what()}});
    }
  }
}

void Server::Parts::finish() {
  finishing = true;
  acceptor.stop();
  listener.close();
  const auto all = connections;  // some may go meanwhile
  for (const auto& connection : all) connection->close();
  last_words.expires_after(kLastWords);
  last_words.async_wait([this](const boost::system::error_code&) { io.stop(); });
  if (connections.empty()) io.stop();
}

uvm::Result<std::unique_ptr<Server>> Server::create(const std::string& path, MachineConfig config,
                                                    Launcher& launcher) {
  UVMM_TRY(auto listener, pins::LocalListener::open(path, pins::SocketKind::Stream));
  return std::unique_ptr<Server>(
      new Server(std::make_unique<Parts>(std::move(listener), std::move(config), launcher)));
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() {
  finish();
}

uvm::Status Server::start() {
  Parts& parts = *parts_;
  parts.acceptor.start();
  try {
    parts.thread = std::thread([&parts] { parts.run(); });
  } catch (const std::system_error& failure) {
    return uvm::Error::from_errno(failure.code().value(), "the API's thread");
  }
  log::event(log::Level::Info, "API listens", {{"path", parts.listener.path()}});
  return uvm::ok();
}

void Server::attach(Guest& guest) {
  asio::post(parts_->io, [&parts = *parts_, &guest] {
    confine::enter(confine::ThreadKind::Api);
    parts.controller.attach(&guest);
    parts.listen_to(guest);
  });
}

void Server::detach() {
  const auto done = std::make_shared<std::promise<void>>();
  asio::post(parts_->io, [&parts = *parts_, done] {
    parts.events = {};
    parts.controller.detach();
    done->set_value();
  });
  done->get_future().wait();
}

void Server::finish() {
  Parts& parts = *parts_;
  if (!parts.thread.joinable()) return;
  asio::post(parts.io, [&parts] { parts.finish(); });
  parts.thread.join();
  parts.connections.clear();
}

}  // namespace vmm::api
