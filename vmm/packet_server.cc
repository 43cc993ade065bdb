#include "vmm/packet_server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <list>
#include <system_error>
#include <thread>
#include <utility>

#include "vmm/acceptor.h"
#include "vmm/confine/confinement.h"
#include "vmm/log.h"
#include "vmm/pin_client/local_listener.h"

namespace vmm {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kMostClients = 64;

}  // namespace

/// Reads a packet when the answer to the last one is gone.
class PacketServer::Connection {
 public:
  Connection(asio::io_context& io, Fd socket, std::unique_ptr<PacketClient> client)
      : socket_(io, socket.release()), client_(std::move(client)) {}

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
                         error || !client_->answer(socket_.native_handle()) ? gone_() : wait();
                       });
  }

  asio::posix::stream_descriptor socket_;
  std::unique_ptr<PacketClient> client_;  // ends before its socket does
  std::function<void()> gone_;
};

struct PacketServer::Parts {
  Parts(pins::LocalListener its_listener, Names its_names, Admit its_admit)
      : names(its_names),
        admit(std::move(its_admit)),
        failure(std::string(names.client) + " could not be let in"),
        listener(std::move(its_listener)),
        acceptor(io, listener.fd(), failure.c_str(),
                 [this](Fd socket, int /*family*/) { take(std::move(socket)); }) {}
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  void take(Fd socket);
  void finish() {
    connections.clear();
    acceptor.stop();
    listener.close();
  }

  const Names names;
  const Admit admit;
  const std::string failure;
  asio::io_context io{1};
  pins::LocalListener listener;
  std::list<Connection> connections;  // the server's thread only
  Acceptor acceptor;
  std::thread thread;
};

void PacketServer::Parts::take(Fd socket) {
  const auto peer = pins::peer_of(socket.get());
  if (!peer || connections.size() >= kMostClients) {
    return log::event(
        log::Level::Warning, std::string(names.client) + " was refused",
        {{"error", peer ? "there are " + std::to_string(kMostClients) + " of them" : peer.error().text()}});
  }
  const auto connection = connections.emplace(connections.end(), io, std::move(socket), admit(io, *peer));
  connection->serve([this, connection] { connections.erase(connection); });
}

uvm::Result<std::unique_ptr<PacketServer>> PacketServer::create(const std::string& path, Names names,
                                                                Admit admit) {
  UVMM_TRY(pins::LocalListener listener, pins::LocalListener::open(path));
  return std::unique_ptr<PacketServer>(
      new PacketServer(std::make_unique<Parts>(std::move(listener), names, std::move(admit))));
}

PacketServer::PacketServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

PacketServer::~PacketServer() {
  finish();
}

uvm::Status PacketServer::start() {
  Parts& parts = *parts_;
  parts.acceptor.start();
  try {
    parts.thread = std::thread([&parts] {
      confine::enter(confine::ThreadKind::Control);
      parts.io.run();
    });
  } catch (const std::system_error& failure) {
    return uvm::Error::from_errno(failure.code().value(), std::string(parts.names.server) + ": thread");
  }
  log::event(log::Level::Info, std::string(parts.names.server) + " listens",
             {{"path", parts.listener.path()}});
  return uvm::ok();
}

void PacketServer::finish(const std::function<void()>& last) {
  Parts& parts = *parts_;
  if (!parts.thread.joinable()) return;
  asio::post(parts.io, [&parts, &last] {
    parts.finish();
    if (last) last();
  });
  parts.thread.join();
}

}  // namespace vmm
