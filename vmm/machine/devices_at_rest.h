// Devices that work by themselves, made to stand still.
#pragma once

#include "uvm/base/error.h"
#include "vmm/machine/machine.h"

namespace vmm {

/// As long as it lives, no device of this process touches guest memory or its queues, and none holds a pin.
/// Nests. The vCPUs are paused all the while. Thread: any but a device's, one at a time.
class DevicesAtRest {
 public:
  explicit DevicesAtRest(Machine::Parts& parts);
  ~DevicesAtRest();
  DevicesAtRest(const DevicesAtRest&) = delete;
  DevicesAtRest& operator=(const DevicesAtRest&) = delete;

  /// Whether all can be copied; what is refused is refused before anything is paused. Errors: Unsupported,
  /// naming the device.
  [[nodiscard]] static uvm::Status check(const Machine::Parts& parts);

 private:
  Machine::Parts& parts_;
};

}  // namespace vmm
