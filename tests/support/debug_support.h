// Which debugger there is, and what this host's KVM lets one do.
#pragma once

#include "tests/support/process.h"
#include "vmm/debug/trap.h"
#include "vmm/kvm/probe.h"

namespace test {

[[nodiscard]] inline bool has_gdb() {
  return run_process({"/bin/sh", "-c", "command -v gdb"}).status == 0;
}

/// Nothing where it can't be asked.
[[nodiscard]] inline vmm::kvm::DebugSupport debug_support() {
  const auto found = vmm::kvm::probe_debug_support();
  return found ? *found : vmm::kvm::DebugSupport{};
}

/// Whether some trap byte comes back from CPL 0.
[[nodiscard]] inline bool can_trap() {
  return vmm::debug::choose_trap(debug_support()) != vmm::debug::TrapKind::None;
}

}  // namespace test
