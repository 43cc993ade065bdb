// The registers of a virtio device where a guest's kernel has no PCI (virtio 1.2, 4.2, version 2).
//
// A page of registers and an interrupt line of its own for each device; the guest is told of them on its
// kernel's command line. The registers are those of the PCI transport by other offsets, so CommonConfig has
// them, and its rules hold: a queue that is enabled stays so until a reset, and nothing a driver writes is an
// error. Accesses are of four bytes, aligned, but in the device's own configuration; others read zeros and
// write nothing (4.2.2.2).
//
// Two things are slower than on PCI. All queues have one interrupt, whose cause has to be in a register
// before the line is raised, so a thread of the machine's (the io_context) hears of each; and all have one
// notification register, so each is an exit.
//
// Linux does not wait for a reset to be done, so the write of it does: until the device has stopped, a second
// at most.
#pragma once

#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <memory>
#include <optional>
#include <string>

#include "uvm/base/lock.h"
#include "vmm/devices/interfaces.h"
#include "vmm/virtio/device.h"
#include "vmm/virtio/fd_watch.h"
#include "vmm/virtio/transport.h"

namespace vmm::virtio {

class MmioTransport final : public Transport, public devices::BusDevice {
 public:
  static constexpr std::uint64_t kBytes = 0x1000;

  /// What a device needs of its machine, all of which outlives it.
  struct Environment {
    devices::IrqLine& line;
    boost::asio::io_context& io;
    IsRam is_ram;
  };

  /// Errors: those of eventfds and of Device::attach(), with the device's `name` in front.
  [[nodiscard]] static uvm::Result<std::unique_ptr<MmioTransport>> create(const std::string& name,
                                                                          const Environment& environment,
                                                                          std::unique_ptr<Device> device);
  ~MmioTransport() override;

  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;

 private:
  MmioTransport(std::string name, const Environment& environment, std::unique_ptr<Device> device);
  [[nodiscard]] uvm::Status build();
  [[nodiscard]] std::uint32_t get_locked(std::uint64_t offset) const REQUIRES(mutex_);
  void set_locked(std::uint64_t offset, std::uint32_t value) REQUIRES(mutex_);
  void write_common_locked(std::uint64_t offset, std::uint32_t value, std::size_t bytes) REQUIRES(mutex_);
  void wait_for_reset_locked() REQUIRES(mutex_);

  // Transport.
  [[nodiscard]] const Fd* call_locked(std::uint16_t vector) const override REQUIRES(mutex_);
  void tell_change_locked() override REQUIRES(mutex_);
  void forget_causes_locked() override REQUIRES(mutex_);
  void state(devices::StateFields& fields) override;

  void raise_locked(std::uint32_t cause) REQUIRES(mutex_);
  void update_line_locked() REQUIRES(mutex_);
  /// The queues' calls, on the io_context's thread.
  void listen();
  void called();

  const Environment environment_;
  Fd call_;                       // of all queues
  std::optional<FdWatch> calls_;  // from build() on

  std::condition_variable_any reset_done_;
  std::uint32_t causes_ GUARDED_BY(mutex_) = 0;
};

}  // namespace vmm::virtio
