#include "vmm/devices/debug_exit.h"

#include "vmm/devices/registers.h"

namespace vmm::devices {

void DebugExit::read(std::uint64_t /*offset*/, std::span<std::byte> data) {
  store_le(data, 0);
}

void DebugExit::write(std::uint64_t /*offset*/, std::span<const std::byte> data) {
  power_.power({.kind = PowerEvent::Kind::DebugExit, .value = static_cast<std::uint32_t>(load_le(data))});
}

}  // namespace vmm::devices
