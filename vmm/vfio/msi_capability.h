// MSI of a passed-through function (PCI 3.0, 6.8.1): one message, delivered from an eventfd.
//
// A device that could send several gets one: with one route it is what most drivers ask for anyway.
#pragma once

#include <cstdint>
#include <memory>

#include "uvm/base/error.h"
#include "vmm/devices/interfaces.h"
#include "vmm/vfio/config_view.h"

namespace vmm::vfio {

/// Thread: one at a time; a function guards it with its lock.
class MsiCapability {
 public:
  /// Makes the capability at `place` ours. Errors: those of create_event().
  [[nodiscard]] static uvm::Result<MsiCapability> create(ConfigView& config, std::uint64_t place,
                                                         devices::MsiEvents& events);

  /// To be called after each write to the space, and after its reset.
  void follow(const devices::PciConfigSpace& registers);
  /// Whether the guest has turned it on.
  [[nodiscard]] bool enabled() const { return enabled_; }
  [[nodiscard]] const Fd& event() const { return event_->event(); }

 private:
  MsiCapability(std::uint64_t place, bool is_wide, bool has_mask, std::unique_ptr<devices::MsiEvent> event)
      : place_(place), is_wide_(is_wide), has_mask_(has_mask), event_(std::move(event)) {}
  [[nodiscard]] std::uint64_t data_place() const { return place_ + (is_wide_ ? 12 : 8); }
  [[nodiscard]] std::uint64_t mask_place() const { return data_place() + 4; }

  std::uint64_t place_;
  bool is_wide_;   // an address of 64 bits
  bool has_mask_;  // a mask bit for the message
  std::unique_ptr<devices::MsiEvent> event_;
  bool enabled_ = false;
};

}  // namespace vmm::vfio
