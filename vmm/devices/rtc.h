// MC146818 real-time clock and the CMOS memory around it, ports 0x70 (index) and 0x71 (data).
//
// The clock is the host's (UTC) plus what the guest has set it off by. UIP in register A is up for the last
// 244 us of each second, which is all the protocol a reader needs. Both data modes (BCD, binary) and both
// hour formats work. Alarm and periodic interrupts do not: registers B and C never raise IRQ 8, and Linux'
// rtc-cmos without an IRQ says so once and goes on. Source: MC146818A data sheet; for the memory sizes at
// 0x15-0x18, 0x30-0x35 and 0x5b-0x5d the customs of PC firmware.
#pragma once

#include <array>
#include <cstdint>

#include "uvm/base/lock.h"
#include "vmm/devices/interfaces.h"
#include "vmm/devices/state.h"

namespace vmm::devices {

/// Guest RAM below and above 4 GiB, bytes; what firmware would have left in CMOS.
struct RtcMemory {
  std::uint64_t below_4g = 0;
  std::uint64_t above_4g = 0;
};

class Rtc final : public BusDevice, public Stateful {
 public:
  static constexpr std::uint64_t kPorts = 2;
  static constexpr std::size_t kCells = 128;
  static constexpr std::uint8_t kCenturyCell = 0x32;  // FADT's CENTURY

  /// `clock` must outlive the device.
  explicit Rtc(const Clock& clock, RtcMemory memory = {});

  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;
  /// A CMOS is battery-backed: only the index goes back.
  void reset();
  /// The host's clock goes on meanwhile: a guest that comes back later finds the time of then.
  [[nodiscard]] std::string_view state_name() const override { return "rtc"; }
  void state(StateFields& fields) override;

 private:
  [[nodiscard]] std::uint8_t read_cell_locked() REQUIRES(mutex_);
  void write_cell_locked(std::uint8_t value) REQUIRES(mutex_);
  /// The guest's time, nanoseconds since 1970.
  [[nodiscard]] std::int64_t now_ns_locked() const REQUIRES(mutex_);
  [[nodiscard]] std::uint8_t encode_locked(unsigned value) const REQUIRES(mutex_);
  [[nodiscard]] unsigned decode_locked(std::uint8_t cell) const REQUIRES(mutex_);
  /// Copies the running clock into the cells (SET going up, or a read), and the cells into the clock.
  void latch_locked() REQUIRES(mutex_);
  void commit_locked() REQUIRES(mutex_);

  const Clock& clock_;
  mutable uvm::Mutex mutex_{uvm::LockRank::Device};
  std::uint8_t index_ GUARDED_BY(mutex_) = 0;
  std::int64_t offset_ns_ GUARDED_BY(mutex_) = 0;  // guest's time minus the host's
  std::array<std::uint8_t, kCells> cells_ GUARDED_BY(mutex_){};
};

}  // namespace vmm::devices
