#include "vmm/pins/server.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <functional>
#include <utility>

#include "vmm/log.h"
#include "vmm/packet_server.h"
#include "vmm/pin_client/local_socket.h"

namespace vmm::pins {

namespace asio = boost::asio;

namespace {

class DeviceProcess final : public PacketClient {
 public:
  DeviceProcess(asio::io_context& io, const Environment& environment, pid_t peer)
      : bell_(io), ring_(environment.ring), session_(environment, peer) {
    log::event(log::Level::Info, "device process connected", {{"process", std::to_string(peer)}});
  }
  ~DeviceProcess() override {
    if (bell_.is_open()) bell_.release();  // the session's
    log::event(log::Level::Info, "device process has gone",
               {{"name", session_.name()},
                {"pins", std::to_string(session_.pins())},
                {"bytes", uvm::hex(session_.bytes())}});
  }
  DeviceProcess(const DeviceProcess&) = delete;
  DeviceProcess& operator=(const DeviceProcess&) = delete;

  bool answer(int socket) override {
    auto request = receive(socket);
    if (!request) {
      const auto kind = request.error().kind();
      if (kind == uvm::ErrorKind::Busy) return true;
      say(request.error());
      return false;
    }
    Session::Answer reply = session_.answer(std::move(*request));
    if (const auto sent = send(socket, reply.message); !sent) {
      say(sent.error());
      return false;
    }
    if (session_.bell() >= 0 && !bell_.is_open()) {
      bell_.assign(session_.bell());
      wait_for_bell();
    }
    return !reply.ends;
  }

 private:
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

  asio::posix::stream_descriptor bell_;
  const std::function<void()> ring_;
  Session session_;
};

}  // namespace

uvm::Result<std::unique_ptr<PacketServer>> serve(const std::string& path, Environment environment) {
  return PacketServer::create(path, {"pin socket", "device process"},
                              [environment = std::move(environment)](asio::io_context& io, pid_t peer) {
                                return std::make_unique<DeviceProcess>(io, environment, peer);
                              });
}

}  // namespace vmm::pins
