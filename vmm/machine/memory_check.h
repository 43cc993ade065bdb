// The thread that reads a restored machine's memory behind it, and sees whether it is what was saved.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "vmm/snapshot/memory_sums.h"

namespace vmm {

/// The guest runs meanwhile, and finds what is read in the page cache; of memory that turns out to be damaged
/// it has seen little or nothing when it is ended. Nothing that outlives it (a fork, a checkpoint, a
/// snapshot) is made before wait().
class MemoryCheck {
 public:
  /// `damaged` is called once at most, on the thread, without a lock. Errors: System (no thread).
  [[nodiscard]] static uvm::Result<std::unique_ptr<MemoryCheck>> start(
      std::vector<snapshot::MemorySums> unchecked, std::function<void(const uvm::Error&)> damaged);
  /// Ends it, whatever is left.
  ~MemoryCheck();
  MemoryCheck(const MemoryCheck&) = delete;
  MemoryCheck& operator=(const MemoryCheck&) = delete;

  /// Returns when all is checked. Errors: those of MemorySums::check(). Any thread but its own.
  [[nodiscard]] uvm::Status wait() EXCLUDES(mutex_);

 private:
  MemoryCheck(std::vector<snapshot::MemorySums> unchecked, std::function<void(const uvm::Error&)> damaged);
  void loop();
  [[nodiscard]] uvm::Status check_all();

  std::vector<snapshot::MemorySums> unchecked_;  // the thread's
  const std::function<void(const uvm::Error&)> damaged_;
  std::atomic<bool> stopping_{false};

  uvm::Mutex mutex_{uvm::LockRank::Leaf};
  std::condition_variable_any changed_;
  std::optional<uvm::Status> outcome_ GUARDED_BY(mutex_);  // once it is over
  std::thread thread_;
};

}  // namespace vmm
