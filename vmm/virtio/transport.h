// What a machine knows of a virtio device, however its driver finds it.
#pragma once

#include "uvm/base/error.h"
#include "vmm/devices/state.h"

namespace vmm::virtio {

/// Owns its device. Thread-safe.
class Transport {
 public:
  virtual ~Transport() = default;
  /// Null: its device can't rest.
  [[nodiscard]] virtual devices::Stateful* stateful() = 0;
  /// Errors: Unsupported, with the device's name and the way out. While vCPUs run too.
  [[nodiscard]] virtual uvm::Status can_rest() const = 0;
  /// As Resting's, of its device; a device that can't is left alone. Without a lock, while no vCPU runs.
  virtual void rest() = 0;
  virtual void go_on() = 0;
  /// Ends the device's threads: after the vCPUs have stopped, before guest memory goes. Idempotent.
  virtual void finish() = 0;
};

}  // namespace vmm::virtio
