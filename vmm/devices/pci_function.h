// One function in PCI configuration space, as the host bridge sees it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/devices/state.h"

namespace vmm::devices {

/// Bytes of configuration space a function has: 256 through ports, all of them through ECAM.
inline constexpr std::uint64_t kPciConfigBytes = 4096;

/// Thread-safe: any vCPU, several at a time. `data.size()` is 1, 2 or 4 and `offset + data.size()` at most
/// kPciConfigBytes; an access may be unaligned, and cross from one register to the next.
class PciFunction {
 public:
  virtual ~PciFunction() = default;
  virtual void read_config(std::uint64_t offset, std::span<std::byte> data) = 0;
  virtual void write_config(std::uint64_t offset, std::span<const std::byte> data) = 0;
  virtual void reset() = 0;
  /// Its state; null: it has none that could be taken along, and a machine that has it can't be copied.
  [[nodiscard]] virtual Stateful* stateful() { return nullptr; }
};

}  // namespace vmm::devices
