// Guest writes as events, by KVM's ioeventfds.
#pragma once

#include <memory>

#include "uvm/base/error.h"
#include "vmm/devices/interfaces.h"
#include "vmm/kvm/vm.h"

namespace vmm {

/// The Vm outlives it and its doorbells.
class KvmDoorbells final : public devices::Doorbells {
 public:
  explicit KvmDoorbells(kvm::Vm& vm) : vm_(vm) {}
  [[nodiscard]] uvm::Result<std::unique_ptr<devices::Doorbell>> attach(std::uint64_t gpa,
                                                                       const Fd& event) override;

 private:
  kvm::Vm& vm_;
};

}  // namespace vmm
