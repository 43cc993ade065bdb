// The PCI function around a virtio device (virtio 1.2, 4.1).
//
// One memory BAR holds all there is, each structure in a page of its own:
//
//   0x0000 common   0x1000 isr   0x2000 device   0x3000 notify, 4 bytes a queue
//   0x4000 MSI-X table           0x6000 MSI-X pending bits               0x8000 end
//
// Vector numbers are the driver's to choose; there is one for each queue and one for changes of the device. A
// notification is an ioeventfd where the machine has them and the BAR is where they can be; otherwise the
// same eventfd is written here, after an exit. All of the BAR can be reached through configuration space too,
// a few bytes at a time (4.1.4.9), for firmware that cannot map it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "vmm/devices/interfaces.h"
#include "vmm/devices/msix_table.h"
#include "vmm/devices/pci_bars.h"
#include "vmm/devices/pci_config_space.h"
#include "vmm/devices/pci_function.h"
#include "vmm/virtio/common_config.h"
#include "vmm/virtio/device.h"
#include "vmm/virtio/transport.h"

namespace vmm::virtio {

/// Thread-safe. Owns its device.
class PciTransport final : public Transport,
                           public devices::PciFunction,
                           private devices::Stateful,
                           private devices::BusDevice,
                           private DeviceHost {
 public:
  /// What a function needs of its machine, all of which outlives it.
  struct Environment {
    devices::PciWindow& window;
    devices::MsiSink& messages;
    devices::MsiEvents& events;
    devices::Doorbells& doorbells;
    /// Whether all of [gpa, gpa + bytes) is RAM.
    std::function<bool(std::uint64_t gpa, std::uint64_t bytes)> is_ram;
  };

  /// Errors: those of the window, of events and of eventfds, with the device's `name` in front.
  [[nodiscard]] static uvm::Result<std::unique_ptr<PciTransport>> create(const std::string& name,
                                                                         const Environment& environment,
                                                                         std::unique_ptr<Device> device);
  ~PciTransport() override;
  PciTransport(const PciTransport&) = delete;
  PciTransport& operator=(const PciTransport&) = delete;

  void read_config(std::uint64_t offset, std::span<std::byte> data) override;
  void write_config(std::uint64_t offset, std::span<const std::byte> data) override;
  void reset() override;

  [[nodiscard]] devices::Stateful* stateful() override;
  [[nodiscard]] uvm::Status can_rest() const override;
  void rest() override;
  void go_on() override;
  void finish() override { device_->finish(); }

  /// Messages of interrupts that could not be delivered, and doorbells that could not be had.
  struct Troubles {
    std::uint64_t interrupts = 0;
    std::uint64_t doorbells = 0;
  };
  [[nodiscard]] Troubles troubles() const;

 private:
  /// Of the device: Running from start(), Stopping from stop() until it has said that it is stopped.
  enum class Life : std::uint8_t { Idle, Running, Stopping };

  PciTransport(std::string name, const Environment& environment, std::unique_ptr<Device> device);
  [[nodiscard]] uvm::Status build();
  [[nodiscard]] uvm::Status add_capabilities_locked() REQUIRES(mutex_);

  // devices::BusDevice: the BAR.
  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;
  void read_locked(std::uint64_t offset, std::span<std::byte> data) REQUIRES(mutex_);
  void write_locked(std::uint64_t offset, std::span<const std::byte> data) REQUIRES(mutex_);
  void notify(std::uint64_t offset) const;

  // DeviceHost.
  void stopped() override;
  void failed() override;
  void config_changed() override;

  // devices::Stateful: between rest() and go_on().
  [[nodiscard]] std::string_view state_name() const override { return state_name_; }
  void state(devices::StateFields& fields) override;
  /// The device's part of what was restored in the registers.
  void place_locked(Resting& device) REQUIRES(mutex_);
  /// What the enabled queues come to; nothing: one is not where it can be.
  [[nodiscard]] std::optional<Activation> activation_locked() const REQUIRES(mutex_);

  void moved_locked(std::optional<std::uint64_t> bar) REQUIRES(mutex_);
  void start_locked() REQUIRES(mutex_);
  void reset_locked() REQUIRES(mutex_);
  void need_reset_locked() REQUIRES(mutex_);
  /// Where the window of configuration space onto the BAR looks; nullopt when it looks past it.
  [[nodiscard]] std::optional<std::uint64_t> looked_at_locked(std::uint64_t offset, std::size_t bytes) const
      REQUIRES(mutex_);

  const std::string name_;
  const std::string state_name_;
  const Environment environment_;
  const std::unique_ptr<Device> device_;
  std::vector<Fd> kicks_;  // of each queue; never changes
  Fd unheard_;             // the call of queues whose driver wants no interrupts

  mutable uvm::Mutex mutex_{uvm::LockRank::Device};
  devices::PciConfigSpace space_ GUARDED_BY(mutex_);
  devices::MsixTable msix_ GUARDED_BY(mutex_);
  CommonConfig common_ GUARDED_BY(mutex_);
  Life life_ GUARDED_BY(mutex_) = Life::Idle;
  std::uint8_t isr_ GUARDED_BY(mutex_) = 0;
  std::uint64_t lost_doorbells_ GUARDED_BY(mutex_) = 0;
  std::uint64_t window_capability_ = 0;
  std::vector<std::unique_ptr<devices::Doorbell>> doorbells_ GUARDED_BY(mutex_);
  devices::PciBars bars_ GUARDED_BY(mutex_);
};

}  // namespace vmm::virtio
