// What a debugger wants one vCPU to do next, and the debug registers it wants all of them to have.
#pragma once

#include <array>
#include <cstdint>

namespace vmm::debug {

struct VcpuPlan {
  enum class Kind : std::uint8_t { Stay, Continue, Step, RangeStep };
  Kind kind = Kind::Stay;
  std::uint64_t begin = 0;  // RangeStep: linear addresses, half open
  std::uint64_t end = 0;

  [[nodiscard]] bool steps() const { return kind == Kind::Step || kind == Kind::RangeStep; }
};

/// What DR0–DR3 watch for (SDM vol. 3B, 18.2.4; the values are DR7's R/W field).
enum class WatchKind : std::uint8_t { Execute = 0, Write = 1, Access = 3 };

struct DebugRegister {
  std::uint64_t address = 0;  // linear
  WatchKind kind = WatchKind::Execute;
  std::uint8_t length = 0;  // bytes: 1, 2, 4 or 8; 0: not in use
};
inline constexpr std::size_t kDebugRegisters = 4;
using DebugRegisters = std::array<DebugRegister, kDebugRegisters>;

/// DR7 for a set of registers: each used one enabled, by the local bit that KVM looks at.
[[nodiscard]] constexpr std::uint64_t dr7_of(const DebugRegisters& registers) {
  std::uint64_t dr7 = 0x400;  // the bit that is always one
  for (std::size_t i = 0; i < registers.size(); ++i) {
    const DebugRegister& one = registers[i];
    if (one.length == 0) continue;
    const std::uint64_t size = one.length == 8 ? 2 : one.length - std::uint64_t{1};
    const std::uint64_t field = static_cast<std::uint64_t>(one.kind) | (one.length == 1 ? 0 : size) << 2;
    dr7 |= std::uint64_t{1} << (2 * i) | field << (16 + 4 * i);
  }
  return dr7;
}

}  // namespace vmm::debug
