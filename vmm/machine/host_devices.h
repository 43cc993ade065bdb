// Devices of the host that the guest has to itself: opened, given its memory, put on its bus.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "uvm/space.h"
#include "vmm/devices/pci_host.h"
#include "vmm/machine/interrupts.h"
#include "vmm/machine/layout.h"
#include "vmm/machine/slot_windows.h"
#include "vmm/vfio/container.h"
#include "vmm/vfio/dma_map.h"
#include "vmm/vfio/pci_passthrough.h"

namespace vmm {

/// One I/O space for all of them, in which I/O addresses are guest-physical ones. The order of its parts is
/// the order in which they are made: container, pins, functions. Destroy after the vCPUs have ended and
/// before the guest's memory.
class HostDevices {
 public:
  struct Surroundings {
    const kvm::Vm& vm;
    uvm::Space& space;
    std::span<const uvm::GpaRange> ram;
    devices::PciHost& pci;
    devices::PciWindow& window;
    devices::PciWindow& ports;
    Interrupts& interrupts;
  };
  /// Pins all of the guest's memory: load kernel and initrd before. `options` is not empty. Errors: those of
  /// find_host_device(), Container, DmaMap and PciPassthrough; Unsupported (a device that has nothing but a
  /// line, and no pin for it).
  [[nodiscard]] static uvm::Result<std::unique_ptr<HostDevices>> create(
      std::span<const vfio::DeviceOptions> options, const Surroundings& around);
  ~HostDevices();

  /// From now on a device that the host asks for goes back to it, on the thread that runs `io`; with the last
  /// one the guest's memory is unpinned. `io` must have stopped before this is destroyed.
  void start(boost::asio::io_context& io);

 private:
  class Watch;
  /// By pin of the I/O APIC: whose interrupt line it is.
  using Lines = std::array<vfio::PciPassthrough*, layout::kIoApicPins>;

  explicit HostDevices(const kvm::Vm& vm);
  [[nodiscard]] uvm::Status build(std::span<const vfio::DeviceOptions> options, const Surroundings& around);
  [[nodiscard]] uvm::Status wire(vfio::PciPassthrough& function, devices::PciSlot slot,
                                 Interrupts& interrupts);
  void withdraw(vfio::PciPassthrough& function);

  SlotWindows windows_;
  std::unique_ptr<vfio::Container> container_;
  std::optional<vfio::DmaMap> dma_;
  std::vector<std::unique_ptr<vfio::PciPassthrough>> functions_;
  Lines lines_{};            // does not change once the guest runs
  std::size_t present_ = 0;  // of functions_, those not withdrawn
  std::vector<std::unique_ptr<Watch>> watches_;
};

}  // namespace vmm
