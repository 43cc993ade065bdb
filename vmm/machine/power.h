// A guest's wish to end, turned into an exit status.
#pragma once

#include <atomic>

#include "vmm/devices/interfaces.h"
#include "vmm/machine/config.h"
#include "vmm/machine/ending.h"

namespace vmm {

/// Qemu or Plain.
[[nodiscard]] DebugExitStatus debug_exit_style(const MachineConfig& config);

/// `style` is Qemu or Plain. Thread: any vCPU's. The vCPU that asked sees pending() right after its bus
/// access and does not enter the guest again.
class Power : public devices::PowerSink {
 public:
  Power(Ending& ending, DebugExitStatus style) : ending_(ending), style_(style) {}

  void power(devices::PowerEvent event) override;
  [[nodiscard]] bool pending() const { return pending_.load(std::memory_order_acquire); }

 private:
  Ending& ending_;
  const DebugExitStatus style_;
  std::atomic<bool> pending_{false};
};

}  // namespace vmm
