// Who ended the machine, and why: the first word counts.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "uvm/base/lock.h"
#include "vmm/machine/machine.h"

namespace vmm {

/// Written once by whichever thread gets there first (a vCPU, the console, a signal), read by the I/O thread.
class Ending {
 public:
  /// `wake` makes the I/O thread look; called at most once, on the thread that ended the machine, without a
  /// lock.
  explicit Ending(std::function<void()> wake) : wake_(std::move(wake)) {}

  void end(RunReport report) EXCLUDES(mutex_) {
    {
      const uvm::MutexLock lock(mutex_);
      if (report_) return;
      report_ = std::move(report);
    }
    wake_();
  }
  void end(ExitStatus status, std::string summary = {}) {
    end(RunReport{static_cast<int>(status), std::move(summary)});
  }
  [[nodiscard]] std::optional<RunReport> report() const EXCLUDES(mutex_) {
    const uvm::MutexLock lock(mutex_);
    return report_;
  }

 private:
  const std::function<void()> wake_;
  mutable uvm::Mutex mutex_{uvm::LockRank::Leaf};
  std::optional<RunReport> report_ GUARDED_BY(mutex_);
};

}  // namespace vmm
