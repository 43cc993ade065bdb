// The byte that stands for a breakpoint, and how it comes back: what the probe found works, on every host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "vmm/kvm/probe.h"

namespace vmm::debug {

enum class TrapKind : std::uint8_t {
  None,         // nothing at CPL 0 comes back
  Int3,         // INT3 leaves as DebugExit
  Int3AsError,  // INT3 leaves as the emulator's failure, with the byte told
  Out,          // OUT DX,AL leaves as IoExit, at CPL 0 only; it has to be finished and RIP set back
};

/// INT3 where it comes back, for it works at every CPL and in every mode; else the next best.
[[nodiscard]] constexpr TrapKind choose_trap(const kvm::DebugSupport& support) {
  if (support.supervisor.software_breakpoint) return TrapKind::Int3;
  if (support.supervisor.breakpoint_as_error) return TrapKind::Int3AsError;
  if (support.supervisor.out_as_exit) return TrapKind::Out;
  return TrapKind::None;
}
[[nodiscard]] constexpr std::byte trap_byte(TrapKind kind) {
  return kind == TrapKind::Out ? std::byte{0xee} : std::byte{0xcc};
}
/// Whether a trap in a page that CPL 3 runs comes back.
[[nodiscard]] constexpr bool traps_user_code(TrapKind kind, const kvm::DebugSupport& support) {
  return kind == TrapKind::Int3 && support.user.software_breakpoint;
}

}  // namespace vmm::debug
