// Whether somebody wants a machine to stand still.
#pragma once

#include "uvm/base/lock.h"
#include "vmm/events.h"
#include "vmm/machine/vcpu_group.h"

namespace vmm {

/// One switch for all who may turn it: paused twice is paused, and whoever resumes resumes. Thread-safe; any
/// thread but a vCPU's.
class PauseSwitch {
 public:
  /// Both outlive it.
  PauseSwitch(VcpuGroup& vcpus, Events& events) : vcpus_(vcpus), events_(events) {}

  /// Returns when every vCPU stands.
  void pause() EXCLUDES(mutex_) {
    const uvm::MutexLock lock(mutex_);
    if (paused_) return;
    vcpus_.pause();
    paused_ = true;
    events_.tell("paused");
  }
  void resume() EXCLUDES(mutex_) {
    const uvm::MutexLock lock(mutex_);
    if (!paused_) return;
    paused_ = false;
    vcpus_.resume();
    events_.tell("resumed");
  }
  [[nodiscard]] bool paused() const EXCLUDES(mutex_) {
    const uvm::MutexLock lock(mutex_);
    return paused_;
  }

 private:
  VcpuGroup& vcpus_;
  Events& events_;
  mutable uvm::Mutex mutex_{uvm::LockRank::Machine};
  bool paused_ GUARDED_BY(mutex_) = false;
};

}  // namespace vmm
