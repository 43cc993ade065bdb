// The socket device whose driver has written anything at all into rings and packets: nothing stays pinned,
// and no connection is made where nobody listens. Then the host's side alone, with a program that calls and
// a guest that answers anything: what is given to the guest fits.
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <string>

#include "tests/fuzz/device_fuzz.h"
#include "vmm/log.h"
#include "vmm/virtio/vsock/socket_device.h"

namespace {

using namespace vmm::virtio;
using namespace vmm::virtio::vsock;

constexpr std::uint32_t kCid = 3;

class Packets {
 public:
  Packets() : path_("/tmp/uvmm-vsock-fuzz-" + std::to_string(::getpid())) {
    auto listener = listen_at(path_);
    fuzz::require(listener.has_value());
    host_.emplace(Host::Setup{io_, kCid, *std::move(listener), [] {}});
  }

  void run(std::span<const std::byte> input) {
    host_->open();
    auto program = connect_to(path_);
    fuzz::require(program.has_value());
    (void)::send(program->get(), "CONNECT 5\nhello", 15, MSG_NOSIGNAL);
    // The acceptor, the line, and then the request is there.
    std::optional<Header> request;
    for (int i = 0; i < 8 && !request; ++i) {
      poll();
      request = host_->give({});
    }
    while (!input.empty()) {
      step(std::to_integer<unsigned>(input.front()), input, request, *program);
      fuzz::require(host_->connections() <= 1);
    }
    host_->close();
    poll();
  }

 private:
  void poll() {
    io_.restart();
    io_.poll();
  }
  template <class T>
  static T take(std::span<const std::byte>& input) {
    T value{};
    const std::size_t now = std::min(sizeof value, input.size());
    std::memcpy(&value, input.data(), now);
    input = input.subspan(now);
    return value;
  }
  void step(unsigned what, std::span<const std::byte>& input, const std::optional<Header>& request,
            const vmm::Fd& program) {
    input = input.subspan(1);
    if (what % 4 == 0) {
      (void)::send(program.get(), input.data(), std::min<std::size_t>(input.size(), what), MSG_NOSIGNAL);
      if (what == 252) ::shutdown(program.get(), SHUT_WR);
    } else if (what % 4 == 1) {
      char bytes[4096];
      (void)::recv(program.get(), bytes, sizeof bytes, 0);
      poll();
    } else if (what % 4 == 2) {
      std::vector<std::byte> room(what * 300U);
      const iovec part{room.data(), room.size()};
      const auto given = host_->give(std::span(&part, 1));
      fuzz::require(!given || given->bytes <= room.size());
    } else {
      Header header = take<Header>(input);
      // Most packets are for the connection that is there.
      if ((what & 4) == 0 && request) {
        header.source_cid = kCid;
        header.destination_cid = kHostCid;
        header.source_port = request->destination_port;
        header.destination_port = request->source_port;
        header.type = kStream;
      }
      std::vector<std::byte> data(what * 300U);
      const iovec part{data.data(), data.size()};
      (void)host_->take(header, std::span(&part, 1));
    }
  }

  const std::string path_;
  boost::asio::io_context io_;
  std::optional<Host> host_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::DeviceMachine machine;
  static Packets packets;
  static const bool quiet = vmm::log::set_up({vmm::log::Level::Off, {}}).has_value();
  if (size == 0 || !quiet) return 0;
  const auto input = std::as_bytes(std::span(data + 1, size - 1));
  if ((*data & 1) != 0) {
    packets.run(input);
  } else {
    machine.run(std::make_unique<SocketDevice>(SocketDevice::Setup{machine.space(), kCid, std::nullopt}), 0,
                input);
  }
  return 0;
}
