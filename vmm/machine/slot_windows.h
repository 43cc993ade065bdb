// Registers of devices in the guest's address space, by KVM's memory slots.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>

#include "uvm/base/lock.h"
#include "vmm/kvm/vm.h"
#include "vmm/vfio/guest_windows.h"

namespace vmm {

/// The Vm outlives it and its windows.
class SlotWindows final : public vfio::GuestWindows {
 public:
  explicit SlotWindows(const kvm::Vm& vm) : vm_(vm) {}
  [[nodiscard]] uvm::Result<std::unique_ptr<vfio::GuestWindow>> show(uvm::GpaRange range,
                                                                     std::span<std::byte> bytes) override;

 private:
  class Window;
  [[nodiscard]] std::uint32_t take_number() EXCLUDES(mutex_);
  void give_back(std::uint32_t number) EXCLUDES(mutex_);

  const kvm::Vm& vm_;
  uvm::Mutex mutex_{uvm::LockRank::Leaf};
  std::set<std::uint32_t> numbers_ GUARDED_BY(mutex_);  // of slots that are in use
};

}  // namespace vmm
