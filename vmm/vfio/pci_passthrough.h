// A device of the host's as a function on the guest's PCI bus.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "uvm/base/lock.h"
#include "vmm/devices/msix_table.h"
#include "vmm/devices/pci_bars.h"
#include "vmm/devices/pci_function.h"
#include "vmm/devices/pci_window.h"
#include "vmm/vfio/bar_windows.h"
#include "vmm/vfio/config_view.h"
#include "vmm/vfio/device.h"
#include "vmm/vfio/line_interrupt.h"
#include "vmm/vfio/msi_capability.h"

namespace vmm::vfio {

/// Owns the open device. What is mapped of its BARs costs the guest no exit, and neither do its messages,
/// which the kernel's VFIO hands to KVM. The rest comes here: configuration space (ConfigView), the table of
/// MSI-X messages, BARs or parts of them that cannot be mapped, ports, and the interrupt line.
///
/// A driver that turns MSI-X on gets all of the device's vectors at once, whatever it uses: older kernels
/// cannot add one later.
///
/// Thread: any; one lock for all but what is mapped. Its DMA must have been mapped before the guest runs.
class PciPassthrough final : public devices::PciFunction {
 public:
  struct Surroundings {
    devices::PciWindow& window;
    devices::PciWindow& ports;
    devices::MsiSink& messages;
    devices::MsiEvents& events;
    GuestWindows& windows;
  };
  /// Errors: those of ConfigView, PciBars::add() (a BAR larger than the guest's PCI window), MsixTable and
  /// RegionMapping, with the device's name.
  [[nodiscard]] static uvm::Result<std::unique_ptr<PciPassthrough>> create(Device device,
                                                                           const Surroundings& around);
  ~PciPassthrough() override;

  void read_config(std::uint64_t offset, std::span<std::byte> data) override;
  void write_config(std::uint64_t offset, std::span<const std::byte> data) override;
  void reset() override;

  /// Gives the device back to the host, which resets it: to the guest it is as if it had been pulled out.
  /// Everything reads as ones from now on.
  void withdraw();

  /// Whether it has an interrupt line, and whether it has messages besides (MSI, MSI-X).
  [[nodiscard]] bool has_line() const { return has_line_; }
  [[nodiscard]] bool has_messages() const EXCLUDES(mutex_);
  /// Before the guest runs: shows the line to the guest as INTA. `line` outlives this; `number` is what its
  /// register says. A driver that turns messages on turns the line off. Errors: those of LineInterrupt.
  [[nodiscard]] uvm::Status wire_line(devices::IrqLine& line, std::uint8_t number) EXCLUDES(mutex_);
  /// Readable when the device has raised its line: line_rose() is due. Null: none is wired. Thread: after
  /// wire_line() any.
  [[nodiscard]] const Fd* line_event() const NO_THREAD_SAFETY_ANALYSIS {
    return line_ ? &line_->event() : nullptr;
  }
  void line_rose() EXCLUDES(mutex_);
  /// The guest has ended an interrupt that came from the line.
  void line_ended() EXCLUDES(mutex_);
  /// Signalled when the host wants the device back (its driver is being unbound, or it is being removed).
  [[nodiscard]] const Fd& wanted_back() const { return wanted_back_; }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  /// One BAR.
  class Bar final : public devices::BusDevice {
   public:
    Bar(PciPassthrough& owner, Region region) : owner_(owner), region_(std::move(region)) {}
    void read(std::uint64_t offset, std::span<std::byte> data) override {
      owner_.read_bar(region_, offset, data);
    }
    void write(std::uint64_t offset, std::span<const std::byte> data) override {
      owner_.write_bar(region_, offset, data);
    }
    [[nodiscard]] const Region& region() const { return region_; }

    std::optional<BarWindows> windows;  // guarded by the owner's lock; none: all of it is trapped

   private:
    PciPassthrough& owner_;
    const Region region_;
  };
  /// The device's configuration space, as long as there is a device. Called by the view, which the owner's
  /// lock guards: what the analysis cannot see.
  class Config final : public HostConfig {
   public:
    explicit Config(PciPassthrough& owner) : owner_(owner) {}
    uvm::Status read(std::uint64_t offset, std::span<std::byte> data) override NO_THREAD_SAFETY_ANALYSIS;
    uvm::Status write(std::uint64_t offset,
                      std::span<const std::byte> data) override NO_THREAD_SAFETY_ANALYSIS;

   private:
    PciPassthrough& owner_;
  };
  /// Where a BAR has the table of messages and the pending bits.
  struct MsixPlace {
    MappableArea table;
    std::uint32_t table_bar = 0;
    MappableArea pending;
    std::uint32_t pending_bar = 0;
  };
  enum class Interrupts : std::uint8_t { Off, Line, Msi, Msix };

  PciPassthrough(Device device, const Surroundings& around);
  void read_bar(const Region& region, std::uint64_t offset, std::span<std::byte> data) EXCLUDES(mutex_);
  void write_bar(const Region& region, std::uint64_t offset, std::span<const std::byte> data)
      EXCLUDES(mutex_);
  [[nodiscard]] uvm::Status build();
  [[nodiscard]] uvm::Status build_interrupts() REQUIRES(mutex_);
  [[nodiscard]] uvm::Status build_bars() REQUIRES(mutex_);
  [[nodiscard]] uvm::Status build_bar(const devices::PciBar& bar, Region region) REQUIRES(mutex_);
  [[nodiscard]] std::vector<MappableArea> trapped(std::uint32_t bar) const REQUIRES(mutex_);

  /// Does what the registers say now.
  void follow() REQUIRES(mutex_);
  void follow_command() REQUIRES(mutex_);
  void follow_interrupts() REQUIRES(mutex_);
  [[nodiscard]] Interrupts wanted_interrupts() const REQUIRES(mutex_);
  [[nodiscard]] uvm::Status connect(Interrupts wanted) REQUIRES(mutex_);

  const std::string name_;
  const Surroundings around_;
  Fd wanted_back_;
  mutable uvm::Mutex mutex_{uvm::LockRank::Device};
  std::optional<Device> device_ GUARDED_BY(mutex_);  // none after withdraw()
  Region config_region_ GUARDED_BY(mutex_);
  Config host_config_{*this};
  std::optional<ConfigView> config_ GUARDED_BY(mutex_);
  std::optional<devices::MsixTable> msix_ GUARDED_BY(mutex_);
  MsixPlace msix_place_ GUARDED_BY(mutex_);
  std::optional<MsiCapability> msi_ GUARDED_BY(mutex_);
  bool has_line_ = false;                                 // never changes once it is built
  std::optional<LineInterrupt> line_ GUARDED_BY(mutex_);  // once it is wired
  Interrupts connected_ GUARDED_BY(mutex_) = Interrupts::Off;
  bool has_ports_ GUARDED_BY(mutex_) = false;
  std::uint64_t host_command_ GUARDED_BY(mutex_) = 0;
  std::array<std::unique_ptr<Bar>, devices::PciConfigSpace::kBars> bar_devices_;
  devices::PciBars bars_ GUARDED_BY(mutex_);
};

}  // namespace vmm::vfio
