// ACPI fixed hardware in 16 ports: PM1a event block (0: status, 2: enable), PM1a control (4), PM timer (8).
//
// ACPI mode is always on (SCI_EN reads 1; the FADT names no SMI port). A press of the power button sets
// PWRBTN_STS and, if enabled, holds the SCI up until the guest writes the bit back. SLP_EN with the S5 type
// powers off; other sleep types are ignored. The timer counts 3.579545 MHz in 32 bits; its carry interrupt is
// not implemented (nobody enables it: ACPICA has no user for it on Linux). Source: ACPI 6.4, 4.8.3.
#pragma once

#include <cstdint>

#include "uvm/base/lock.h"
#include "vmm/devices/interfaces.h"
#include "vmm/devices/state.h"

namespace vmm::devices {

class AcpiPm final : public BusDevice, public Stateful {
 public:
  static constexpr std::uint64_t kPorts = 16;
  static constexpr std::uint64_t kStatusOffset = 0;
  static constexpr std::uint64_t kEnableOffset = 2;
  static constexpr std::uint64_t kControlOffset = 4;
  static constexpr std::uint64_t kTimerOffset = 8;
  static constexpr std::uint64_t kTimerHertz = 3'579'545;
  static constexpr std::uint8_t kDefaultS5SleepType = 5;  // must be what \_S5 in the DSDT says

  AcpiPm(IrqLine& sci, const Clock& clock, PowerSink& power, std::uint8_t s5_sleep_type = kDefaultS5SleepType)
      : sci_(sci), clock_(clock), power_(power), s5_sleep_type_(s5_sleep_type) {}

  /// Any thread.
  void press_power_button();

  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;
  void reset();
  /// The timer, as if that much more time had passed.
  void advance(std::uint64_t ns);
  /// The timer goes on from where it was, on whatever host.
  [[nodiscard]] std::string_view state_name() const override { return "acpi-pm"; }
  void state(StateFields& fields) override;

 private:
  [[nodiscard]] std::uint8_t read_byte_locked(std::uint64_t offset, std::uint32_t timer) const
      REQUIRES(mutex_);
  [[nodiscard]] bool write_byte_locked(std::uint64_t offset, std::uint8_t value) REQUIRES(mutex_);
  void update_sci_locked() REQUIRES(mutex_);

  IrqLine& sci_;
  const Clock& clock_;
  PowerSink& power_;
  const std::uint8_t s5_sleep_type_;
  mutable uvm::Mutex mutex_{uvm::LockRank::Device};
  std::uint16_t status_ GUARDED_BY(mutex_) = 0;
  std::uint16_t enable_ GUARDED_BY(mutex_) = 0;
  std::uint16_t control_ GUARDED_BY(mutex_) = 0;  // without SCI_EN and SLP_EN
  Level sci_level_ GUARDED_BY(mutex_) = Level::Low;
  std::uint64_t ahead_ns_ GUARDED_BY(mutex_) = 0;  // of the clock, modulo 2^64
};

}  // namespace vmm::devices
