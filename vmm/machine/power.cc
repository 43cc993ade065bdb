#include "vmm/machine/power.h"

#include <string>

namespace vmm {
namespace {

/// An exit status is one byte; (v << 1) | 1 is what test suites written for QEMU's isa-debug-exit expect.
int debug_exit_status(std::uint32_t value, DebugExitStatus style) {
  const std::uint32_t status = style == DebugExitStatus::Qemu ? (value << 1) | 1 : value;
  return static_cast<int>(status & 0xff);
}

}  // namespace

DebugExitStatus debug_exit_style(const MachineConfig& config) {
  if (config.debug_exit != DebugExitStatus::Auto) return config.debug_exit;
  return config.boot.builtin.empty() ? DebugExitStatus::Qemu : DebugExitStatus::Plain;
}

void Power::power(devices::PowerEvent event) {
  using Kind = devices::PowerEvent::Kind;
  RunReport report;
  if (event.kind == Kind::DebugExit) report.status = debug_exit_status(event.value, style_);
  ending_.end(std::move(report));
  pending_.store(true, std::memory_order_release);
}

}  // namespace vmm
