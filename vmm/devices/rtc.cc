#include "vmm/devices/rtc.h"

#include <algorithm>
#include <chrono>

namespace vmm::devices {

namespace {

constexpr std::uint64_t kIndexPort = 0;

constexpr std::size_t kSeconds = 0x00;
constexpr std::size_t kMinutes = 0x02;
constexpr std::size_t kHours = 0x04;
constexpr std::size_t kWeekday = 0x06;
constexpr std::size_t kDay = 0x07;
constexpr std::size_t kMonth = 0x08;
constexpr std::size_t kYear = 0x09;
constexpr std::size_t kStatusA = 0x0a;
constexpr std::size_t kStatusB = 0x0b;
constexpr std::size_t kStatusC = 0x0c;
constexpr std::size_t kStatusD = 0x0d;

constexpr std::uint8_t kUpdateInProgress = 0x80;  // in A
constexpr std::uint8_t kSet = 0x80;               // in B: the guest is writing, the clock stands still
constexpr std::uint8_t kBinary = 0x04;
constexpr std::uint8_t k24Hours = 0x02;
constexpr std::uint8_t kValid = 0x80;  // in D: the battery is good
constexpr std::uint8_t kPm = 0x80;     // in the hours, with 12-hour time

constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::int64_t kUpdateNs = 244'000;  // UIP is up this long before the second turns

// What 64 bits of nanoseconds can hold, with room for the host's own clock.
constexpr int kFirstYear = 1970;
constexpr int kLastYear = 2200;

bool is_time(std::size_t cell) {
  return cell == kSeconds || cell == kMinutes || cell == kHours || (cell >= kWeekday && cell <= kYear) ||
         cell == Rtc::kCenturyCell;
}

std::int64_t host_ns(const Clock& clock) {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(clock.wall_ns(), INT64_MAX));
}

void store_size(std::span<std::uint8_t> cells, std::uint64_t units, std::uint64_t limit) {
  units = std::min(units, limit);
  for (std::uint8_t& cell : cells) {
    cell = static_cast<std::uint8_t>(units);
    units >>= 8;
  }
}

}  // namespace

Rtc::Rtc(const Clock& clock, RtcMemory memory) : clock_(clock) {
  uvm::MutexLock lock(mutex_);
  cells_[kStatusA] = 0x26;  // 32 768 Hz time base, 1024 Hz rate: what firmware leaves
  cells_[kStatusB] = k24Hours;
  const std::span cells(cells_);
  const auto above = [&](std::uint64_t bytes) {
    return memory.below_4g > bytes ? memory.below_4g - bytes : 0;
  };
  store_size(cells.subspan(0x15, 2), 640, 0xffff);                       // KiB of base memory
  store_size(cells.subspan(0x17, 2), above(0x10'0000) >> 10, 0xffff);    // KiB above 1 MiB
  store_size(cells.subspan(0x30, 2), above(0x10'0000) >> 10, 0xffff);    // the same again
  store_size(cells.subspan(0x34, 2), above(0x100'0000) >> 16, 0xffff);   // 64 KiB units above 16 MiB
  store_size(cells.subspan(0x5b, 3), memory.above_4g >> 16, 0xff'ffff);  // 64 KiB units above 4 GiB
}

void Rtc::read(std::uint64_t offset, std::span<std::byte> data) {
  uvm::MutexLock lock(mutex_);
  for (std::byte& byte : data) {
    byte = offset++ == kIndexPort ? std::byte{0xff} : std::byte{read_cell_locked()};
  }
}

void Rtc::write(std::uint64_t offset, std::span<const std::byte> data) {
  uvm::MutexLock lock(mutex_);
  for (const std::byte byte : data) {
    const auto value = std::to_integer<std::uint8_t>(byte);
    if (offset++ == kIndexPort) {
      index_ = value & (kCells - 1);  // bit 7 masks NMIs, of which there are none
    } else {
      write_cell_locked(value);
    }
  }
}

void Rtc::reset() {
  uvm::MutexLock lock(mutex_);
  index_ = 0;
}

void Rtc::state(StateFields& fields) {
  uvm::MutexLock lock(mutex_);
  fields.field(index_);
  fields.require(index_ < kCells, "index");
  index_ &= kCells - 1;
  fields.field(offset_ns_);
  fields.bytes(std::as_writable_bytes(std::span(cells_)));
}

std::uint8_t Rtc::read_cell_locked() {
  const bool running = (cells_[kStatusB] & kSet) == 0;
  switch (index_) {
    case kStatusA: {
      const bool updating = running && now_ns_locked() % kSecondNs >= kSecondNs - kUpdateNs;
      return static_cast<std::uint8_t>(cells_[kStatusA] | (updating ? kUpdateInProgress : 0));
    }
    case kStatusC:
      return 0;
    case kStatusD:
      return kValid;
    default:
      if (running && is_time(index_)) latch_locked();
      return cells_[index_];
  }
}

void Rtc::write_cell_locked(std::uint8_t value) {
  const bool was_set = (cells_[kStatusB] & kSet) != 0;
  switch (index_) {
    case kStatusA:
      cells_[kStatusA] = value & static_cast<std::uint8_t>(~kUpdateInProgress);
      return;
    case kStatusB:
      if (!was_set && (value & kSet) != 0) latch_locked();
      // The cells are in the format that was in force while they were written.
      if (was_set && (value & kSet) == 0) commit_locked();
      cells_[kStatusB] = value;
      return;
    case kStatusC:
    case kStatusD:
      return;
    default:
      if (!is_time(index_)) {
        cells_[index_] = value;
        return;
      }
      if (!was_set) latch_locked();
      cells_[index_] = value;
      if (!was_set) commit_locked();
  }
}

std::int64_t Rtc::now_ns_locked() const {
  std::int64_t now = 0;
  if (__builtin_add_overflow(host_ns(clock_), offset_ns_, &now)) return INT64_MAX;
  return std::max<std::int64_t>(now, 0);
}

std::uint8_t Rtc::encode_locked(unsigned value) const {
  if ((cells_[kStatusB] & kBinary) != 0) return static_cast<std::uint8_t>(value);
  return static_cast<std::uint8_t>(value / 10 << 4 | value % 10);
}

unsigned Rtc::decode_locked(std::uint8_t cell) const {
  if ((cells_[kStatusB] & kBinary) != 0) return cell;
  return (cell >> 4) * 10U + (cell & 0x0fU);
}

void Rtc::latch_locked() {
  using namespace std::chrono;
  const sys_time<nanoseconds> now{nanoseconds(now_ns_locked())};
  const sys_days day = floor<days>(now);
  const year_month_day date{day};
  const hh_mm_ss<nanoseconds> time{now - day};
  const auto hour = static_cast<unsigned>(time.hours().count());
  const auto year = static_cast<unsigned>(static_cast<int>(date.year()));

  cells_[kSeconds] = encode_locked(static_cast<unsigned>(time.seconds().count()));
  cells_[kMinutes] = encode_locked(static_cast<unsigned>(time.minutes().count()));
  if ((cells_[kStatusB] & k24Hours) != 0) {
    cells_[kHours] = encode_locked(hour);
  } else {
    const unsigned hour12 = hour % 12 == 0 ? 12 : hour % 12;
    cells_[kHours] = static_cast<std::uint8_t>(encode_locked(hour12) | (hour >= 12 ? kPm : 0));
  }
  cells_[kWeekday] = encode_locked(weekday{day}.c_encoding() + 1);
  cells_[kDay] = encode_locked(static_cast<unsigned>(date.day()));
  cells_[kMonth] = encode_locked(static_cast<unsigned>(date.month()));
  cells_[kYear] = encode_locked(year % 100);
  cells_[kCenturyCell] = encode_locked(year / 100);
}

void Rtc::commit_locked() {
  using namespace std::chrono;
  // The cells hold whatever the guest wrote; nonsense is carried or clamped, never refused.
  unsigned hour = 0;
  if ((cells_[kStatusB] & k24Hours) != 0) {
    hour = decode_locked(cells_[kHours]);
  } else {
    hour = decode_locked(cells_[kHours] & static_cast<std::uint8_t>(~kPm)) % 12 +
           ((cells_[kHours] & kPm) != 0 ? 12 : 0);
  }
  const unsigned century = decode_locked(cells_[kCenturyCell]);
  const int written_year = static_cast<int>(century * 100 + decode_locked(cells_[kYear]));
  const year_month month{year{std::clamp(written_year, kFirstYear, kLastYear)},
                         std::chrono::month{std::clamp(decode_locked(cells_[kMonth]), 1U, 12U)}};
  const sys_days day = sys_days{month / 1} + days{static_cast<int>(decode_locked(cells_[kDay])) - 1};
  const nanoseconds time =
      hours{hour} + minutes{decode_locked(cells_[kMinutes])} + seconds{decode_locked(cells_[kSeconds])};
  offset_ns_ = (day.time_since_epoch() + time).count() - host_ns(clock_);
}

}  // namespace vmm::devices
