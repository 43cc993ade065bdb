#include "vmm/devices/legacy_ports.h"

#include <algorithm>

namespace vmm::devices {

namespace {

constexpr std::uint8_t kPortBStored = 0x0f;
constexpr std::uint8_t kPortBRefresh = 0x10;
constexpr std::uint8_t kPortBTimerOutput = 0x20;

constexpr std::uint8_t kPortAFastReset = 0x01;
constexpr std::uint8_t kPortAGateA20 = 0x02;

}  // namespace

void ConstantPorts::read(std::uint64_t /*offset*/, std::span<std::byte> data) {
  std::ranges::fill(data, value_);
}

void ConstantPorts::write(std::uint64_t /*offset*/, std::span<const std::byte> /*data*/) {}

void PortB::read(std::uint64_t /*offset*/, std::span<std::byte> data) {
  for (std::byte& byte : data) {
    const std::uint8_t before = value_.fetch_xor(kPortBRefresh);
    byte = static_cast<std::byte>(before | kPortBTimerOutput);
  }
}

void PortB::write(std::uint64_t /*offset*/, std::span<const std::byte> data) {
  if (data.empty()) return;
  const auto value = std::to_integer<std::uint8_t>(data.front());
  const auto refresh = static_cast<std::uint8_t>(value_.load() & kPortBRefresh);
  value_ = static_cast<std::uint8_t>((value & kPortBStored) | refresh);
}

void PortA::read(std::uint64_t /*offset*/, std::span<std::byte> data) {
  std::ranges::fill(data, std::byte{value_.load()});
}

void PortA::write(std::uint64_t /*offset*/, std::span<const std::byte> data) {
  if (data.empty()) return;
  const auto value = std::to_integer<std::uint8_t>(data.front());
  // A20 cannot be turned off: no processor since has the gate, and KVM none to offer.
  const std::uint8_t before = value_.exchange(static_cast<std::uint8_t>(value | kPortAGateA20));
  if ((value & kPortAFastReset) != 0 && (before & kPortAFastReset) == 0) {
    power_.power({.kind = PowerEvent::Kind::Reset});
  }
}

void PostPort::read(std::uint64_t /*offset*/, std::span<std::byte> data) {
  std::ranges::fill(data, std::byte{code_.load()});
}

void PostPort::write(std::uint64_t /*offset*/, std::span<const std::byte> data) {
  if (!data.empty()) code_ = std::to_integer<std::uint8_t>(data.front());
}

}  // namespace vmm::devices
