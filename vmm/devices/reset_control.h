// The reset control register of Intel chipsets, one byte, port 0xcf9.
//
// A rising bit 2 resets the machine; bit 1 only chooses how hard. The FADT's RESET_REG is {0xcf9, 0x06}.
// The port lies inside PCI's CONFIG_ADDRESS (0xcf8-0xcfb); PciHost hands single-byte accesses on, see there.
#pragma once

#include <atomic>
#include <cstdint>

#include "vmm/devices/interfaces.h"
#include "vmm/devices/state.h"

namespace vmm::devices {

class ResetControl final : public BusDevice, public Stateful {
 public:
  explicit ResetControl(PowerSink& power) : power_(power) {}

  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;
  void reset() { value_ = 0; }
  [[nodiscard]] std::string_view state_name() const override { return "reset-control"; }
  void state(StateFields& fields) override { fields.field(value_); }

 private:
  PowerSink& power_;
  std::atomic<std::uint8_t> value_{0};
};

}  // namespace vmm::devices
