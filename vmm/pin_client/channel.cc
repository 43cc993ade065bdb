#include "vmm/pin_client/channel.h"

#include <algorithm>
#include <utility>

#include "vmm/pin_client/local_socket.h"

namespace vmm::pins {

uvm::Result<std::shared_ptr<Channel>> Channel::open(const std::string& path, const std::string& name) {
  if (name.size() >= kNameBytes) {
    return uvm::Error(uvm::ErrorKind::Invalid, "pin socket: the name '" + name + "' is too long",
                      "take at most " + std::to_string(kNameBytes - 1) + " bytes");
  }
  UVMM_TRY(Fd socket, connect_to(path));
  auto channel = std::make_shared<Channel>(std::move(socket));
  HelloRequest hello;
  std::ranges::copy(name, hello.name.begin());
  UVMM_TRY(Message reply, channel->ask(Verb::Hello, [&](Message& request) { request.put(hello); }));
  HelloReply welcome;
  if (!reply.take(welcome) || welcome.version != kVersion) {
    return uvm::Error(uvm::ErrorKind::Invalid, "pin socket " + path + ": another version of the protocol");
  }
  return channel;
}

uvm::Result<Message> Channel::exchange(const Header& header, const Message& request) {
  const auto gone = [](const std::string& why) {
    return uvm::Error(uvm::ErrorKind::PagerIo, "pin socket: " + why);
  };
  if (const auto sent = send(socket_.get(), request); !sent) return gone(sent.error().text());
  auto reply = receive(socket_.get());
  if (!reply) return gone(reply.error().text());
  Header head;
  if (!reply->take(head) || head.verb != header.verb || head.tag != header.tag) {
    return gone("the answer is to something else");
  }
  if (head.outcome != Outcome::Ok) {
    return uvm::Error(uvm::ErrorKind::Invalid, std::string(reply->take_text()));
  }
  return std::move(*reply);
}

}  // namespace vmm::pins
