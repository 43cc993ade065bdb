// What a device may know of the machine around it: these interfaces and nothing else. The machine
// implements them; tests implement them with fakes. The contract they belong to is in devices.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "uvm/base/error.h"
#include "vmm/kvm/fd.h"

namespace vmm::devices {

/// Logical state of an interrupt line: High means "asserted", whatever the polarity of the wire.
enum class Level { Low, High };

/// One input of an interrupt controller. Thread-safe. A device calls it with its own lock held, because two
/// levels that overtake each other would leave the line stuck; so an implementation takes only locks of rank
/// Interrupt and above and never calls back into a device.
class IrqLine {
 public:
  virtual ~IrqLine() = default;
  /// Idempotent. An edge-triggered input sees an interrupt at each change from Low to High.
  virtual void set_level(Level level) = 0;
  /// One edge.
  void pulse() {
    set_level(Level::High);
    set_level(Level::Low);
  }
};

/// Where message-signalled interrupts go. Thread-safe; may be called with a device's lock held, under the
/// same rules as IrqLine.
class MsiSink {
 public:
  virtual ~MsiSink() = default;
  /// `address` and `data` as a PCI device would write them (SDM vol. 3, 11.11).
  virtual uvm::Status send(std::uint64_t address, std::uint32_t data) = 0;
};

/// A message-signalled interrupt as a PCI device would write it (SDM vol. 3, 11.11).
struct MsiMessage {
  std::uint64_t address = 0;
  std::uint32_t data = 0;
  friend bool operator==(const MsiMessage&, const MsiMessage&) = default;
};

/// An interrupt that whoever has an eventfd raises by writing it, be it the kernel or another process,
/// without a word to the device whose interrupt it is. The device says what it is delivered as. Held at
/// first. Thread: one at a time, for all but event(); may be called with a device's lock held.
class MsiEvent {
 public:
  virtual ~MsiEvent() = default;
  /// Open, and the same, as long as this lives.
  [[nodiscard]] virtual const Fd& event() const = 0;
  /// From now on each event is delivered as `message`; so is, once, what came while they were held.
  virtual uvm::Status deliver(const MsiMessage& message) = 0;
  /// From now on events wait, all of them as one.
  virtual void hold() = 0;
  /// Whether one waits.
  [[nodiscard]] virtual bool pending() const = 0;
};

/// Makes them. Thread-safe, as MsiSink.
class MsiEvents {
 public:
  virtual ~MsiEvents() = default;
  /// Errors: NoMemory (no route is left), Unsupported (no irqfd on this host), System. The events end before
  /// this does.
  [[nodiscard]] virtual uvm::Result<std::unique_ptr<MsiEvent>> create_event() = 0;
};

/// As long as it lives, a guest's write to one place is an event and never comes to the device there.
class Doorbell {
 public:
  virtual ~Doorbell() = default;
};

/// Makes them. Thread-safe, as MsiSink; the doorbells end before this does.
class Doorbells {
 public:
  virtual ~Doorbells() = default;
  /// A write of any width at `gpa` signals `event`, which the caller keeps open as long as the doorbell
  /// lives. An error is no misfortune: without it the write comes to the device, which can signal the event
  /// itself. Errors: Unsupported, System (EEXIST: there is one at that place).
  [[nodiscard]] virtual uvm::Result<std::unique_ptr<Doorbell>> attach(std::uint64_t gpa, const Fd& event) = 0;
};

/// The guest's time. Thread-safe, takes no lock.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Nanoseconds since some fixed instant; never goes back, stands still while the machine is paused.
  [[nodiscard]] virtual std::uint64_t monotonic_ns() const = 0;
  /// Nanoseconds since 1970-01-01T00:00:00Z.
  [[nodiscard]] virtual std::uint64_t wall_ns() const = 0;
};

/// The guest asked for its own end.
struct PowerEvent {
  enum class Kind { PowerOff, Reset, DebugExit };
  Kind kind = Kind::PowerOff;
  std::uint32_t value = 0;  // DebugExit: the number the guest wrote, zero-extended
};

/// Called on the vCPU thread that made the request, with no device lock held. Only notes the event: it must
/// not wait for vCPUs, the caller is one.
class PowerSink {
 public:
  virtual ~PowerSink() = default;
  virtual void power(PowerEvent event) = 0;
};

/// Takes bytes from a device. Thread-safe, never blocks, never calls back from inside offer(); called with
/// the device's lock held, so that a refusal and the later "there is room again" cannot pass each other.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  /// Takes a prefix of `bytes` and returns its length. Whoever gets less than all is told once, later and on
  /// another thread, that there is room again (Serial::sink_ready()).
  virtual std::size_t offer(std::span<const std::byte> bytes) = 0;
};

/// Something that answers accesses in a range of ports or of guest-physical addresses.
class BusDevice {
 public:
  virtual ~BusDevice() = default;
  /// `data.size()` is 1, 2, 4 or 8 and the access lies wholly inside what the device registered. `offset` is
  /// in bytes, counted as the registration says. Called by any vCPU thread, several at a time.
  virtual void read(std::uint64_t offset, std::span<std::byte> data) = 0;
  virtual void write(std::uint64_t offset, std::span<const std::byte> data) = 0;
};

}  // namespace vmm::devices
