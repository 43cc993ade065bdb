// What the ways in which a driver finds a virtio device have in common: the device, the registers in which
// the two agree, the device's life between start and reset, and its rest.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "vmm/devices/state.h"
#include "vmm/virtio/common_config.h"
#include "vmm/virtio/device.h"

namespace vmm::virtio {

inline constexpr std::uint16_t kVendor = 0x1af4;  // of a PCI device, and of one on mmio

/// Whether all of [gpa, gpa + bytes) is RAM.
using IsRam = std::function<bool(std::uint64_t gpa, std::uint64_t bytes)>;

/// Owns its device. Thread-safe.
class Transport : protected devices::Stateful, protected DeviceHost {
 public:
  /// Whoever inherits from it calls finish() in its own: the device's threads call the hooks below.
  ~Transport() override = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// Null: its device can't rest.
  [[nodiscard]] devices::Stateful* stateful();
  /// Errors: Unsupported, with the device's name and the way out. While vCPUs run too.
  [[nodiscard]] uvm::Status can_rest() const;
  /// As Resting's, of its device; a device that can't is left alone. Without a lock, while no vCPU runs.
  void rest();
  void go_on();
  /// Ends the device's threads: after the vCPUs have stopped, before guest memory goes. Idempotent.
  void finish() { device_->finish(); }

 protected:
  /// Of the device: Running from start(), Stopping from stop() until it has said that it is stopped.
  enum class Life : std::uint8_t { Idle, Running, Stopping };

  /// The interrupts a driver can choose between: none, or as many as there are queues and one for changes.
  enum class Vectors : std::uint8_t { None, OneEach };

  Transport(std::string name, std::unique_ptr<Device> device, Vectors vectors, IsRam is_ram);
  [[nodiscard]] static uvm::Result<Fd> make_event();
  /// The queues' eventfds. Errors: System.
  [[nodiscard]] uvm::Status open_kicks();
  /// As an ioeventfd would; no queue of that number is no error.
  void notify(std::uint64_t queue) const;

  void start_locked() REQUIRES(mutex_);
  void reset_locked() REQUIRES(mutex_);
  /// Once the registers are restored: gives the device its part. Nothing: it was not started.
  std::optional<Activation> place_locked() REQUIRES(mutex_);

  /// Where a queue with that vector is heard; open as long as the transport lives.
  [[nodiscard]] virtual const Fd* call_locked(std::uint16_t vector) const REQUIRES(mutex_) = 0;
  /// Interrupts the driver for a change of the device's.
  virtual void tell_change_locked() REQUIRES(mutex_) = 0;
  /// A reset is done: nothing is told any more that has not been heard.
  virtual void forget_causes_locked() REQUIRES(mutex_) = 0;

  const std::string name_;
  const std::unique_ptr<Device> device_;
  std::vector<Fd> kicks_;  // of each queue; never changes

  mutable uvm::Mutex mutex_{uvm::LockRank::Device};
  CommonConfig common_ GUARDED_BY(mutex_);
  Life life_ GUARDED_BY(mutex_) = Life::Idle;

 private:
  /// What the enabled queues come to; nothing: one is not where it can be.
  [[nodiscard]] std::optional<Activation> activation_locked() const REQUIRES(mutex_);

  // DeviceHost.
  void stopped() override;
  void failed() override;
  void config_changed() override;

  [[nodiscard]] std::string_view state_name() const override { return state_name_; }

  const std::string state_name_;
  const IsRam is_ram_;
};

}  // namespace vmm::virtio
