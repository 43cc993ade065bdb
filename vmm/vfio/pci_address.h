// Where a PCI function sits on the host, as lspci and sysfs write it.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "uvm/base/error.h"

namespace vmm::vfio {

struct PciAddress {
  std::uint16_t domain = 0;
  std::uint8_t bus = 0;
  std::uint8_t device = 0;    // 0-31
  std::uint8_t function = 0;  // 0-7

  friend constexpr auto operator<=>(const PciAddress&, const PciAddress&) = default;
};

/// "0000:3b:00.1", or "3b:00.1" in domain 0; hexadecimal. Errors: Invalid.
[[nodiscard]] uvm::Result<PciAddress> parse_pci_address(std::string_view text);
/// The long form.
[[nodiscard]] std::string to_string(const PciAddress& address);

}  // namespace vmm::vfio
