// What a machine does whose memory cannot be brought in.
#pragma once

#include "uvm/base/error.h"
#include "uvm/base/units.h"
#include "vmm/machine/config.h"
#include "vmm/machine/ending.h"
#include "vmm/machine/fault_thread.h"
#include "vmm/machine/vcpu_group.h"

namespace vmm {

/// A guest that must not compute with made-up bytes either stands still, all vCPUs of it, until its swap
/// works again, or ends. Console, signals and the memory map work meanwhile, and whoever ends the machine
/// ends it. Thread: the fault thread's.
class SwapTrouble {
 public:
  /// Does not own `vcpus` and `ending`.
  SwapTrouble(const Overcommit& overcommit, VcpuGroup& vcpus, Ending& ending)
      : pauses_(overcommit.limit != 0 && overcommit.on_error == SwapError::Pause),
        vcpus_(vcpus),
        ending_(ending) {}

  [[nodiscard]] Unresolved failed(uvm::Gpa gpa, const uvm::Error& error);
  void recovered();

 private:
  const bool pauses_;
  VcpuGroup& vcpus_;
  Ending& ending_;
  bool paused_ = false;
};

}  // namespace vmm
