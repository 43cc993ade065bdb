// Interrupts that an eventfd raises, by KVM's irqfds.
#pragma once

#include <memory>

#include "uvm/base/error.h"
#include "vmm/devices/interfaces.h"
#include "vmm/kvm/vm.h"
#include "vmm/machine/msi_routes.h"

namespace vmm {

/// Vm and routes outlive it and its events.
class KvmMsiEvents final : public devices::MsiEvents {
 public:
  KvmMsiEvents(kvm::Vm& vm, MsiRoutes& routes) : vm_(vm), routes_(routes) {}
  [[nodiscard]] uvm::Result<std::unique_ptr<devices::MsiEvent>> create_event() override;

 private:
  kvm::Vm& vm_;
  MsiRoutes& routes_;
};

}  // namespace vmm
