#include "vmm/devices/acpi_pm.h"

namespace vmm::devices {

namespace {

constexpr std::uint16_t kPowerButton = 0x0100;  // PM1 status and enable
constexpr std::uint16_t kEnableBits = 0x4721;
constexpr std::uint16_t kSciEnable = 0x0001;  // PM1 control
constexpr std::uint16_t kSleepEnable = 0x2000;
constexpr unsigned kSleepTypeShift = 10;
constexpr std::uint16_t kSleepTypeMask = 0x7;

constexpr std::uint64_t kSecondNs = 1'000'000'000;

std::uint32_t timer_ticks(std::uint64_t ns) {
  // Split, since nanoseconds times hertz passes 64 bits after an hour and a half.
  const std::uint64_t whole = ns / kSecondNs * AcpiPm::kTimerHertz;
  const std::uint64_t part = ns % kSecondNs * AcpiPm::kTimerHertz / kSecondNs;
  return static_cast<std::uint32_t>(whole + part);
}

std::uint8_t byte_of(std::uint32_t value, std::uint64_t index) {
  return static_cast<std::uint8_t>(value >> (index * 8));
}

std::uint16_t with_byte(std::uint16_t old, std::uint64_t index, std::uint8_t value) {
  const unsigned shift = static_cast<unsigned>(index) * 8;
  return static_cast<std::uint16_t>((old & ~(0xffU << shift)) | static_cast<unsigned>(value) << shift);
}

}  // namespace

void AcpiPm::press_power_button() {
  uvm::MutexLock lock(mutex_);
  status_ |= kPowerButton;
  update_sci_locked();
}

void AcpiPm::read(std::uint64_t offset, std::span<std::byte> data) {
  // One sample for all its bytes: a timer that ticks between two of them would jump.
  const std::uint64_t now = clock_.monotonic_ns();
  uvm::MutexLock lock(mutex_);
  const std::uint32_t timer = timer_ticks(now + ahead_ns_);
  for (std::byte& byte : data) byte = std::byte{read_byte_locked(offset++, timer)};
}

void AcpiPm::write(std::uint64_t offset, std::span<const std::byte> data) {
  bool wants_power_off = false;
  {
    uvm::MutexLock lock(mutex_);
    for (const std::byte byte : data) {
      wants_power_off |= write_byte_locked(offset++, std::to_integer<std::uint8_t>(byte));
    }
    update_sci_locked();
  }
  if (wants_power_off) power_.power({.kind = PowerEvent::Kind::PowerOff});
}

std::uint8_t AcpiPm::read_byte_locked(std::uint64_t offset, std::uint32_t timer) const {
  if (offset < kEnableOffset) return byte_of(status_, offset);
  if (offset < kControlOffset) return byte_of(enable_, offset - kEnableOffset);
  if (offset < kControlOffset + 2) return byte_of(control_ | kSciEnable, offset - kControlOffset);
  if (offset >= kTimerOffset && offset < kTimerOffset + 4) return byte_of(timer, offset - kTimerOffset);
  return 0;
}

bool AcpiPm::write_byte_locked(std::uint64_t offset, std::uint8_t value) {
  if (offset < kEnableOffset) {
    status_ &= static_cast<std::uint16_t>(~with_byte(0, offset, value));
  } else if (offset < kControlOffset) {
    enable_ = with_byte(enable_, offset - kEnableOffset, value) & kEnableBits;
  } else if (offset < kControlOffset + 2) {
    control_ = with_byte(control_, offset - kControlOffset, value);
    const bool sleep = (control_ & kSleepEnable) != 0;
    control_ &= static_cast<std::uint16_t>(~(kSleepEnable | kSciEnable));
    return sleep && ((control_ >> kSleepTypeShift) & kSleepTypeMask) == s5_sleep_type_;
  }
  return false;
}

void AcpiPm::update_sci_locked() {
  const Level level = (status_ & enable_) != 0 ? Level::High : Level::Low;
  if (level == sci_level_) return;
  sci_level_ = level;
  sci_.set_level(level);
}

void AcpiPm::state(StateFields& fields) {
  const std::uint64_t now = clock_.monotonic_ns();
  uvm::MutexLock lock(mutex_);
  for (std::uint16_t* const one : {&status_, &enable_, &control_}) fields.field(*one);
  std::uint64_t timer_ns = now + ahead_ns_;
  fields.field(timer_ns);
  ahead_ns_ = timer_ns - now;
  if (!fields.restoring()) return;
  update_sci_locked();
  sci_.set_level(sci_level_);
}

void AcpiPm::advance(std::uint64_t ns) {
  const uvm::MutexLock lock(mutex_);
  ahead_ns_ += ns;
}

void AcpiPm::reset() {
  uvm::MutexLock lock(mutex_);
  status_ = enable_ = control_ = 0;
  update_sci_locked();
}

}  // namespace vmm::devices
