#include "vmm/devices/reset_control.h"

#include "vmm/devices/registers.h"

namespace vmm::devices {

namespace {

constexpr std::uint8_t kResetCpu = 0x04;
constexpr std::uint8_t kStored = 0x0e;

}  // namespace

void ResetControl::read(std::uint64_t /*offset*/, std::span<std::byte> data) {
  fill_ones(data);
  if (!data.empty()) data.front() = std::byte{value_.load()};
}

void ResetControl::write(std::uint64_t offset, std::span<const std::byte> data) {
  if (offset != 0 || data.empty()) return;
  const auto value = static_cast<std::uint8_t>(std::to_integer<std::uint8_t>(data.front()) & kStored);
  const std::uint8_t before = value_.exchange(value);
  if ((value & kResetCpu) != 0 && (before & kResetCpu) == 0) {
    power_.power({.kind = PowerEvent::Kind::Reset});
  }
}

}  // namespace vmm::devices
