#include "vmm/control/server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "vmm/log.h"
#include "vmm/packet_server.h"
#include "vmm/pin_client/local_socket.h"

namespace vmm::control {

/// Looks now and then whether memory that was lent can be let go. Thread: the server's.
class Lender {
 public:
  Lender(boost::asio::io_context& io, const Environment& environment)
      : timer_(io), environment_(environment) {}

  /// Something may have been lent.
  void look() {
    if (is_waiting_ || !environment_.let_go()) return;
    is_waiting_ = true;
    timer_.expires_after(std::chrono::seconds(1));
    timer_.async_wait([this](const boost::system::error_code& error) {
      is_waiting_ = false;
      if (!error) look();
    });
  }

 private:
  boost::asio::steady_timer timer_;
  const Environment& environment_;
  bool is_waiting_ = false;
};

namespace {

class Client final : public PacketClient {
 public:
  Client(const Environment& environment, Lender& lender) : session_(environment), lender_(lender) {}

  bool answer(int socket) override {
    const auto request = pins::receive(socket);
    if (!request) return request.error().kind() == uvm::ErrorKind::Busy;
    const auto sent = pins::send(socket, session_.answer(*request));
    lender_.look();
    if (sent) return true;
    log::event(log::Level::Info, "control connection is let go", {{"error", sent.error().text()}});
    return false;
  }

 private:
  Session session_;
  Lender& lender_;
};

}  // namespace

struct Server::Parts {
  const Environment& environment;
  std::unique_ptr<PacketServer> packets;
  std::optional<Lender> lender;  // with the first client
};

uvm::Result<std::unique_ptr<Server>> Server::create(const std::string& path, const Environment& environment) {
  auto parts = std::make_unique<Parts>(Parts{environment, nullptr, std::nullopt});
  UVMM_TRY(parts->packets, PacketServer::create(path, {"control socket", "control connection"},
                                                [&parts = *parts](boost::asio::io_context& io, pid_t) {
                                                  if (!parts.lender)
                                                    parts.lender.emplace(io, parts.environment);
                                                  return std::make_unique<Client>(parts.environment,
                                                                                  *parts.lender);
                                                }));
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() {
  finish();
}

uvm::Status Server::start() {
  return parts_->packets->start();
}

void Server::finish() {
  // What still waits on its thread would keep that from ending.
  parts_->packets->finish([this] { parts_->lender.reset(); });
}

}  // namespace vmm::control
