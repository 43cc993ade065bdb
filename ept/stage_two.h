// What the pmap asks of whoever runs the vCPUs.
#pragma once

#include "uvm/base/range.h"

namespace ept {

/// The second-stage tables that a hypervisor keeps behind the window (KVM's). They follow the window by MMU
/// notifiers, so every change of a host mapping reaches them by itself; only dropping translations of host
/// pages that stay where they are needs this.
class StageTwo {
 public:
  StageTwo() = default;
  StageTwo(const StageTwo&) = delete;
  StageTwo& operator=(const StageTwo&) = delete;
  virtual ~StageTwo() = default;

  /// When it returns, no vCPU uses a translation of `range` that is older than the call. Waits for vCPUs, so
  /// the pmap calls it without any lock: a vCPU may be asleep on an event whose resolution needs the pmap.
  virtual void zap(uvm::GpaRange range) = 0;
};

}  // namespace ept
