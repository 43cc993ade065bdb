// What the operator says about devices of the host that the guest gets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/pin_table.h"
#include "vmm/vfio/pci_address.h"

namespace vmm::vfio {

/// The device of a group that has only one.
struct GroupNumber {
  std::uint32_t number = 0;

  friend bool operator==(const GroupNumber&, const GroupNumber&) = default;
};

/// One --vfio.
struct DeviceOptions {
  std::variant<PciAddress, GroupNumber> device;
  /// What a fork of the guest does: all of its memory is the device's for DMA.
  uvm::ForkPolicy fork = uvm::ForkPolicy::Refuse;

  friend bool operator==(const DeviceOptions&, const DeviceOptions&) = default;
};

/// "pci:0000:3b:00.0" or "/dev/vfio/12", then ",fork=refuse", "quiesce" or "copy". Errors: Invalid.
[[nodiscard]] uvm::Result<DeviceOptions> parse_device(std::string_view text);
/// What parse_device() reads.
[[nodiscard]] std::string to_string(const DeviceOptions& options);

}  // namespace vmm::vfio
