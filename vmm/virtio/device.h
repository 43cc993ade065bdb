// A virtio device as its transport sees it, and the transport as the device sees it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/devices/state.h"
#include "vmm/kvm/fd.h"

namespace vmm::virtio {

/// Virtio 1.2, chapter 5.
enum class DeviceType : std::uint16_t {
  Network = 1,
  Block = 2,
  Console = 3,
  Entropy = 4,
  Balloon = 5,
  Socket = 19,
  FileSystem = 26,
  Pmem = 27,
};

/// Feature bits that are no device's own (virtio 1.2, chapter 6).
inline constexpr std::uint64_t kFeatureIndirect = std::uint64_t{1} << 28;
inline constexpr std::uint64_t kFeatureEventIndex = std::uint64_t{1} << 29;
inline constexpr std::uint64_t kFeatureVersion1 = std::uint64_t{1} << 32;

/// A queue that the driver has enabled. Addresses are guest-physical, in RAM, aligned.
struct Queue {
  unsigned index = 0;
  std::uint16_t size = 0;         // entries, a power of two
  std::uint64_t descriptors = 0;  // 16 bytes an entry
  std::uint64_t driver_area = 0;  // the ring of what is available
  std::uint64_t device_area = 0;  // the ring of what is used
  const Fd* kick = nullptr;       // an eventfd that the guest writes
  const Fd* call = nullptr;       // an eventfd that interrupts the guest, or, if it wants none, nobody
};

/// What driver and device have agreed on. The eventfds are open until the device has said that it is stopped.
struct Activation {
  std::uint64_t features = 0;
  std::vector<Queue> queues;
};

/// What a device tells its transport. Any thread, without a lock, and never from inside start() or stop().
class DeviceHost {
 public:
  virtual ~DeviceHost() = default;
  /// Nothing touches the queues any more. Once for each stop().
  virtual void stopped() = 0;
  /// The device cannot go on, until it is reset at least: the driver is told.
  virtual void failed() = 0;
  /// The device's own configuration has changed by itself: the driver is told.
  virtual void config_changed() = 0;
};

/// A device that can stand still and be copied with its machine. Any thread but the device's own, one at a
/// time, without a lock; no vCPU runs meanwhile.
class Resting {
 public:
  virtual ~Resting() = default;
  /// Errors: Unsupported, with the way out. Before rest(), while vCPUs run too.
  [[nodiscard]] virtual uvm::Status can_rest() const = 0;
  /// Returns when nothing touches guest memory or the queues any more, and no pin is left. Nests.
  virtual void rest() = 0;
  /// The end of as many rest(): serves every queue, as if each had been notified.
  virtual void go_on() = 0;
  /// What the device itself keeps; between rest() and go_on().
  virtual void state(devices::StateFields& fields) = 0;
  /// Before state() is restored: what driver and device have agreed on there; nothing: it was not started.
  virtual void place(std::optional<Activation> activation) = 0;
};

/// Called by its transport with the transport's lock held; must neither wait nor call back.
class Device {
 public:
  virtual ~Device() = default;
  [[nodiscard]] virtual DeviceType type() const = 0;
  /// What can be offered; never changes.
  [[nodiscard]] virtual std::uint64_t features() const = 0;
  [[nodiscard]] virtual unsigned queues() const = 0;
  /// Entries that a queue may have; a power of two.
  [[nodiscard]] virtual std::uint16_t queue_limit() const = 0;
  /// The device's own configuration. Any offset and size; zeros behind its end.
  virtual void read_config(std::uint64_t offset, std::span<std::byte> data) const = 0;
  /// What a device does not let the driver write stays.
  virtual void write_config(std::uint64_t /*offset*/, std::span<const std::byte> /*data*/) {}

  /// Before start(), once: begins its threads, until finish(). The host outlives them. Errors: System.
  [[nodiscard]] virtual uvm::Status attach(DeviceHost& host) = 0;
  virtual void start(const Activation& activation) = 0;
  /// After start(); answered by DeviceHost::stopped(), whether the device has failed or not.
  virtual void stop() = 0;
  /// Ends its threads and its work; the host is not called any more, whatever comes. Not from a vCPU, without
  /// a lock. Idempotent.
  virtual void finish() = 0;
  /// Null: a machine that has it can't be copied.
  [[nodiscard]] virtual Resting* resting() { return nullptr; }
};

}  // namespace vmm::virtio
