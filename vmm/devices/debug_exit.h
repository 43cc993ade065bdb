// Port 0xf4, four bytes wide: the first write of a test guest ends the machine with the value it wrote.
// What exit status that makes is the machine's affair. Reads give zero, as QEMU's isa-debug-exit does.
#pragma once

#include <cstdint>

#include "vmm/devices/interfaces.h"

namespace vmm::devices {

class DebugExit final : public BusDevice {
 public:
  static constexpr std::uint64_t kPorts = 4;

  explicit DebugExit(PowerSink& power) : power_(power) {}

  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;

 private:
  PowerSink& power_;
};

}  // namespace vmm::devices
