// The one table of interrupt routes that a VM has, and who may change which part of it.
//
//   0 … 23   the I/O APIC's pins: messages of the one in this process, or fixed routes of KVM's
//   24 …     messages of devices, each a number (GSI) of its own, handed out and taken back here
//
// KVM takes the table as a whole. So it is kept here as a whole, and every change sends all of it; what
// changes nothing is not sent, for a change costs KVM a grace period.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "vmm/devices/interfaces.h"
#include "vmm/kvm/vm.h"
#include "vmm/machine/layout.h"

namespace vmm {

/// Thread-safe; may be called with a device's lock held. The Vm outlives it.
class MsiRoutes {
 public:
  /// `fixed`: routes that stay.
  MsiRoutes(kvm::Vm& vm, std::vector<kvm::PinRoute> fixed);
  MsiRoutes(const MsiRoutes&) = delete;
  MsiRoutes& operator=(const MsiRoutes&) = delete;

  /// Those of the I/O APIC, all of them. Errors: System.
  [[nodiscard]] uvm::Status set_pins(std::vector<kvm::MsiRoute> pins);

  /// A number that leads nowhere yet. Errors: NoMemory (KVM has no more).
  [[nodiscard]] uvm::Result<std::uint32_t> take();
  /// Errors: System; then the number leads where it did.
  [[nodiscard]] uvm::Status set(std::uint32_t gsi, const devices::MsiMessage& message);
  /// Nothing may be attached to it any more.
  void give_back(std::uint32_t gsi);

 private:
  static constexpr std::uint32_t kFirstGsi = layout::kIoApicPins;
  [[nodiscard]] uvm::Status publish_locked() REQUIRES(mutex_);

  kvm::Vm& vm_;
  const std::vector<kvm::PinRoute> fixed_;
  const std::uint32_t limit_;  // numbers are below
  uvm::Mutex mutex_{uvm::LockRank::Interrupt};
  std::vector<kvm::MsiRoute> pins_ GUARDED_BY(mutex_);
  std::map<std::uint32_t, std::optional<devices::MsiMessage>> messages_ GUARDED_BY(mutex_);
};

}  // namespace vmm
