// What the operator says about device processes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "uvm/pin_owner.h"

namespace vmm::pins {

struct Options {
  std::string socket;                      // empty: no device process comes in
  std::uint64_t limit = uvm::kNoPinLimit;  // bytes that each may pin
  std::optional<unsigned> irq;             // the I/O APIC's pin that their bells raise
};

/// Where a bell may be: pins that neither the platform nor PCI uses.
inline constexpr unsigned kFirstBellIrq = 5;
inline constexpr unsigned kLastBellIrq = 7;

}  // namespace vmm::pins
