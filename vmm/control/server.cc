#include "vmm/control/server.h"

#include <utility>

#include "vmm/log.h"
#include "vmm/packet_server.h"
#include "vmm/pin_client/local_socket.h"

namespace vmm::control {

namespace {

class Client final : public PacketClient {
 public:
  explicit Client(const Environment& environment) : session_(environment) {}

  bool answer(int socket) override {
    const auto request = pins::receive(socket);
    if (!request) return request.error().kind() == uvm::ErrorKind::Busy;
    const auto sent = pins::send(socket, session_.answer(*request));
    if (sent) return true;
    log::event(log::Level::Info, "control connection is let go", {{"error", sent.error().text()}});
    return false;
  }

 private:
  Session session_;
};

}  // namespace

struct Server::Parts {
  const Environment& environment;
  std::unique_ptr<PacketServer> packets;
};

uvm::Result<std::unique_ptr<Server>> Server::create(const std::string& path, const Environment& environment) {
  auto parts = std::make_unique<Parts>(Parts{environment, nullptr});
  UVMM_TRY(parts->packets, PacketServer::create(path, {"control socket", "control connection"},
                                                [&parts = *parts](boost::asio::io_context&, pid_t) {
                                                  return std::make_unique<Client>(parts.environment);
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
  parts_->packets->finish();
}

}  // namespace vmm::control
