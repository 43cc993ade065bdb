// Ports of a PC's ancient parts that are not there, and what a probing kernel must read to believe it.
//
// | ports             | device        | why                                                                |
// |-------------------|---------------|--------------------------------------------------------------------|
// | 0x20-21, 0xa0-a1, | ConstantPorts | all ones: Linux writes a mask to 0x21 and takes a read of something |
// | 0x4d0-4d1         | (0xff)        | else for "no PIC" (probe_8259A)                                    |
// | 0x40-43           | ConstantPorts | zero: quick_pit_calibrate waits while the counter's high byte reads |
// |                   | (0x00)        | 0xff, up to 50 000 rounds; zero ends it in the first                |
// | 0x61              | PortB         | bit 5 (timer 2 output) up, so calibration by PIT gives up at once;  |
// |                   |               | bit 4 (refresh) toggles; bits 6-7 (NMI causes) clear                |
// | 0x80              | PostPort      | takes what is written, for io_delay() and POST codes                |
// | 0x92              | PortA         | A20 on; a rising bit 0 resets                                       |
//
// Source: Linux arch/x86/kernel/{tsc,i8259,nmi}.c. A kernel that sees no PIC must find its timers elsewhere:
// the CPUID of the machine has to offer TSC-deadline and ARAT, and the MADT must not claim PCAT_COMPAT.
#pragma once

#include <atomic>
#include <cstdint>

#include "vmm/devices/interfaces.h"
#include "vmm/devices/state.h"

namespace vmm::devices {

/// Each byte reads as `value`; writes vanish.
class ConstantPorts final : public BusDevice {
 public:
  explicit ConstantPorts(std::uint8_t value) : value_(static_cast<std::byte>(value)) {}
  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;

 private:
  const std::byte value_;
};

/// System control port B, 0x61.
class PortB final : public BusDevice, public Stateful {
 public:
  [[nodiscard]] std::string_view state_name() const override { return "port-b"; }
  void state(StateFields& fields) override { fields.field(value_); }
  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;

 private:
  std::atomic<std::uint8_t> value_{0};
};

/// System control port A, 0x92.
class PortA final : public BusDevice, public Stateful {
 public:
  [[nodiscard]] std::string_view state_name() const override { return "port-a"; }
  void state(StateFields& fields) override { fields.field(value_); }
  explicit PortA(PowerSink& power) : power_(power) {}
  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;

 private:
  PowerSink& power_;
  std::atomic<std::uint8_t> value_{0x02};  // A20
};

/// 0x80: reads back the last code.
class PostPort final : public BusDevice, public Stateful {
 public:
  [[nodiscard]] std::string_view state_name() const override { return "post"; }
  void state(StateFields& fields) override { fields.field(code_); }
  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;
  [[nodiscard]] std::uint8_t code() const { return code_; }

 private:
  std::atomic<std::uint8_t> code_{0};
};

}  // namespace vmm::devices
