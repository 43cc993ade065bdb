// The BARs of one function kept where its configuration space says they are.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "vmm/devices/interfaces.h"
#include "vmm/devices/pci_config_space.h"
#include "vmm/devices/pci_window.h"

namespace vmm::devices {

/// Thread: one at a time; a function guards it with its lock.
class PciBars {
 public:
  /// `gpa`: where the BAR answers from now on, nullopt: nowhere.
  using Moved = std::function<void(unsigned bar, std::optional<std::uint64_t> gpa)>;

  /// `ports` is for functions that have BARs of ports.
  explicit PciBars(PciWindow& window, PciWindow* ports = nullptr) : window_(window), ports_(ports) {}
  ~PciBars();
  PciBars(const PciBars&) = delete;
  PciBars& operator=(const PciBars&) = delete;

  /// Adds the BAR to `config`, at a place of the window's choice; once its space is decoded, `device`
  /// answers there. It outlives the guest. Errors: as PciConfigSpace::add_bar() and PciWindow::allocate();
  /// Unsupported (ports, and no window for them).
  [[nodiscard]] uvm::Status add(PciConfigSpace& config, const PciBar& bar, BusDevice& device);
  /// Told after each move, inside follow(): for what else depends on the address (doorbells, memory slots).
  void set_on_moved(Moved moved) { moved_ = std::move(moved); }

  /// To be called after each write to the space, and after its reset.
  void follow(const PciConfigSpace& config);

 private:
  struct Slot {
    BusDevice* device = nullptr;
    PciWindow* window = nullptr;
    std::optional<std::uint64_t> wanted;  // by the register, in the window or not
    std::optional<std::uint64_t> gpa;     // where it answers
  };
  void move(unsigned index, std::optional<std::uint64_t> to, std::uint64_t bytes);

  PciWindow& window_;
  PciWindow* const ports_;
  Moved moved_;
  std::array<Slot, PciConfigSpace::kBars> slots_;
};

}  // namespace vmm::devices
