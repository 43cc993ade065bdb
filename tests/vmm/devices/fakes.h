// The machine, as far as a device under test can tell.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "vmm/devices/interfaces.h"
#include "vmm/devices/registers.h"

namespace vmm::devices::test {

class FakeLine : public IrqLine {
 public:
  void set_level(Level next) override {
    if (next == Level::High && level == Level::Low) ++edges;
    level = next;
  }
  [[nodiscard]] bool up() const { return level == Level::High; }
  Level level = Level::Low;
  int edges = 0;
};

class FakeMsi : public MsiSink {
 public:
  uvm::Status send(std::uint64_t address, std::uint32_t data) override {
    sent.emplace_back(address, data);
    if (refuse) return uvm::Error(uvm::ErrorKind::System, "refused by the test");
    return uvm::ok();
  }
  std::vector<std::pair<std::uint64_t, std::uint32_t>> sent;
  bool refuse = false;
};

/// An interrupt by eventfd, without a kernel behind it: delivering only notes the message.
class FakeMsiEvent : public MsiEvent {
 public:
  explicit FakeMsiEvent(std::optional<MsiMessage>& delivered)
      : delivered_(delivered), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  [[nodiscard]] const Fd& event() const override { return event_; }
  uvm::Status deliver(const MsiMessage& message) override {
    delivered_ = message;
    return uvm::ok();
  }
  void hold() override { delivered_.reset(); }
  [[nodiscard]] bool pending() const override {
    pollfd waiting{event_.get(), POLLIN, 0};
    return !delivered_ && ::poll(&waiting, 1, 0) == 1;
  }

 private:
  std::optional<MsiMessage>& delivered_;
  Fd event_;
};

class FakeMsiEvents : public MsiEvents {
 public:
  uvm::Result<std::unique_ptr<MsiEvent>> create_event() override {
    return std::unique_ptr<MsiEvent>(std::make_unique<FakeMsiEvent>(delivered.emplace_back()));
  }
  std::deque<std::optional<MsiMessage>> delivered;  // of each event; none while it is held
};

class FakeClock : public Clock {
 public:
  [[nodiscard]] std::uint64_t monotonic_ns() const override { return monotonic; }
  [[nodiscard]] std::uint64_t wall_ns() const override { return wall; }
  std::uint64_t monotonic = 0;
  std::uint64_t wall = 0;
};

class FakePower : public PowerSink {
 public:
  void power(PowerEvent event) override { events.push_back(event); }
  [[nodiscard]] std::size_t count(PowerEvent::Kind kind) const {
    std::size_t found = 0;
    for (const PowerEvent& event : events) found += event.kind == kind ? 1 : 0;
    return found;
  }
  std::vector<PowerEvent> events;
};

/// Takes `room` bytes, then refuses until the test makes room.
class FakeSink : public ByteSink {
 public:
  std::size_t offer(std::span<const std::byte> bytes) override {
    const std::size_t taken = std::min(bytes.size(), room);
    for (const std::byte byte : bytes.first(taken)) text.push_back(static_cast<char>(byte));
    room -= taken;
    return taken;
  }
  std::string text;
  std::size_t room = SIZE_MAX;
};

inline std::uint64_t read(BusDevice& device, std::uint64_t offset, std::size_t size = 1) {
  std::vector<std::byte> data(size);
  device.read(offset, data);
  return load_le(data);
}

inline void write(BusDevice& device, std::uint64_t offset, std::uint64_t value, std::size_t size = 1) {
  std::vector<std::byte> data(size);
  store_le(data, value);
  device.write(offset, data);
}

inline std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

}  // namespace vmm::devices::test
