// A session with a fake target, packet by packet and without a socket.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/fake_debug_target.h"
#include "vmm/gdb/packet_reader.h"
#include "vmm/gdb/packet_writer.h"
#include "vmm/gdb/session.h"
#include "vmm/gdb/wire.h"

namespace test {

class StringWire : public vmm::gdb::Wire {
 public:
  void send(std::string_view bytes) override { sent += bytes; }
  [[nodiscard]] bool congested() const override { return sent.size() > room; }
  [[nodiscard]] bool cancelled() override { return is_cancelled; }

  std::string sent;
  std::size_t room = std::size_t{1} << 30U;
  bool is_cancelled = false;
};

/// Keeps events until the session takes them, as the server's queue does.
class QueuedEvents : public vmm::gdb::StopListener {
 public:
  void stopped(const vmm::gdb::StopEvent& event) override { events.push_back(event); }
  std::vector<vmm::gdb::StopEvent> events;
};

class Conversation {
 public:
  explicit Conversation(std::uint32_t threads = 2, vmm::gdb::XsaveLayout layout = {},
                        vmm::gdb::OnKill on_kill = vmm::gdb::OnKill::Detach)
      : target(threads, layout), session(target, listener, wire, on_kill) {}

  /// Sends one packet and gives the packets that came back; whatever else was sent stays in `rest`.
  std::vector<std::string> say(std::string_view payload) { return say_raw(vmm::gdb::framed(payload)); }
  std::vector<std::string> say_raw(std::string_view bytes) {
    session.receive(bytes);
    deliver();
    return take();
  }
  /// The one reply to a packet.
  std::string ask(std::string_view payload) {
    const auto replies = say(payload);
    EXPECT_EQ(replies.size(), 1U) << payload;
    return replies.empty() ? std::string("(no reply)") : replies.back();
  }
  /// Announces what a modern gdb announces.
  void greet(std::string_view more = ";error-message+") {
    static_cast<void>(say("qSupported:multiprocess+;swbreak+;hwbreak+" + std::string(more)));
  }
  void deliver() {
    while (!listener.events.empty()) {
      const auto event = listener.events.front();
      listener.events.erase(listener.events.begin());
      session.stopped(event);
    }
  }
  /// The packets among what was sent, unescaped; signs like '+' go to `signs`.
  std::vector<std::string> take() {
    std::vector<std::string> packets;
    vmm::gdb::PacketReader reader;
    std::string_view bytes = wire.sent;
    while (const auto event = reader.next(bytes)) {
      if (event->kind == vmm::gdb::PacketEvent::Kind::Packet) packets.push_back(event->payload);
      if (event->kind == vmm::gdb::PacketEvent::Kind::Ack) signs += '+';
      if (event->kind == vmm::gdb::PacketEvent::Kind::Nak) signs += '-';
    }
    wire.sent.clear();
    return packets;
  }

  FakeDebugTarget target;
  QueuedEvents listener;
  StringWire wire;
  vmm::gdb::Session session;
  std::string signs;
};

}  // namespace test
