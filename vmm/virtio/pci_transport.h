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
#include "vmm/virtio/device.h"
#include "vmm/virtio/transport.h"

namespace vmm::virtio {

/// Thread-safe. Owns its device.
class PciTransport final : public Transport, public devices::PciFunction, private devices::BusDevice {
 public:
  /// What a function needs of its machine, all of which outlives it.
  struct Environment {
    devices::PciWindow& window;
    devices::MsiSink& messages;
    devices::MsiEvents& events;
    devices::Doorbells& doorbells;
    IsRam is_ram;
  };

  /// Errors: those of the window, of events and of eventfds, with the device's `name` in front.
  [[nodiscard]] static uvm::Result<std::unique_ptr<PciTransport>> create(const std::string& name,
                                                                         const Environment& environment,
                                                                         std::unique_ptr<Device> device);
  ~PciTransport() override;

  void read_config(std::uint64_t offset, std::span<std::byte> data) override;
  void write_config(std::uint64_t offset, std::span<const std::byte> data) override;
  void reset() override;
  /// As a transport's.
  [[nodiscard]] devices::Stateful* stateful() override { return Transport::stateful(); }

  /// Messages of interrupts that could not be delivered, and doorbells that could not be had.
  struct Troubles {
    std::uint64_t interrupts = 0;
    std::uint64_t doorbells = 0;
  };
  [[nodiscard]] Troubles troubles() const;

 private:
  PciTransport(std::string name, const Environment& environment, std::unique_ptr<Device> device);
  [[nodiscard]] uvm::Status build();
  [[nodiscard]] uvm::Status add_capabilities_locked() REQUIRES(mutex_);

  // devices::BusDevice: the BAR.
  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;
  void read_locked(std::uint64_t offset, std::span<std::byte> data) REQUIRES(mutex_);
  void write_locked(std::uint64_t offset, std::span<const std::byte> data) REQUIRES(mutex_);

  // Transport.
  [[nodiscard]] const Fd* call_locked(std::uint16_t vector) const override REQUIRES(mutex_);
  void tell_change_locked() override REQUIRES(mutex_);
  void forget_causes_locked() override REQUIRES(mutex_);
  void state(devices::StateFields& fields) override;

  /// With the registers that were restored.
  void go_on_from_locked() REQUIRES(mutex_);
  void moved_locked(std::optional<std::uint64_t> bar) REQUIRES(mutex_);
  /// Where the window of configuration space onto the BAR looks; nullopt when it looks past it.
  [[nodiscard]] std::optional<std::uint64_t> looked_at_locked(std::uint64_t offset, std::size_t bytes) const
      REQUIRES(mutex_);

  const Environment environment_;
  Fd unheard_;  // the call of queues whose driver wants no interrupts

  devices::PciConfigSpace space_ GUARDED_BY(mutex_);
  devices::MsixTable msix_ GUARDED_BY(mutex_);
  std::uint8_t isr_ GUARDED_BY(mutex_) = 0;
  std::uint64_t lost_doorbells_ GUARDED_BY(mutex_) = 0;
  std::uint64_t window_capability_ = 0;
  std::vector<std::unique_ptr<devices::Doorbell>> doorbells_ GUARDED_BY(mutex_);
  devices::PciBars bars_ GUARDED_BY(mutex_);
};

}  // namespace vmm::virtio
