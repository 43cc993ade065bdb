// Guest-physical addresses that a device answers: a mapping without memory.
//
// An access by a vCPU is an MMIO exit to the bus. It is one because no memory slot covers the address, so a
// device's mapping never lies in a slot: what is mapped there is for listings, for the refusal of overlaps,
// and for whoever in this process takes the address for memory and is told whose it is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "uvm/pager.h"

namespace ept::host {

/// Thread-safe; it never changes.
class DeviceObject final : public uvm::Pager {
 public:
  /// `device` names it in errors and listings; `size` in bytes.
  DeviceObject(const std::string& device, std::uint64_t size) : name_("device " + device), size_(size) {}

  /// Errors: NoBacking, always, with the device's name. So faults, accesses and pins are refused with it.
  [[nodiscard]] uvm::Result<uvm::FrameRun> get(const uvm::PagerRequest& request) override;
  [[nodiscard]] uvm::Tenure tenure() const override { return uvm::Tenure::None; }
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  [[nodiscard]] uvm::Protection max_protection() const override { return uvm::Protection::ReadWrite; }
  [[nodiscard]] std::string_view name() const override { return name_; }

 private:
  const std::string name_;
  const std::uint64_t size_;
};

}  // namespace ept::host
