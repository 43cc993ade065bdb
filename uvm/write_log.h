// Which pages of a space were written by somebody else than the guest's own vCPUs: by a debugger, by devices
// through pins, by whoever gave pages back or mapped something else. What KVM's dirty log is for the vCPUs
// this is for the others; whoever copies a running guest's memory and wants to know what to copy again needs
// both.
//
// Nobody is asked to say beforehand what he is going to write. A page is noted when it has been written, at
// the latest when the pin or access through which it was written ends, under a lock or behind one that who
// starts the log takes once: so that a write is either before the log, and seen by whoever copies from then
// on, or in it. What can still be written at some moment is not in the log but in the table of pins.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "uvm/base/page_set.h"
#include "uvm/base/range.h"

namespace uvm {

/// Thread-safe, except that start() and stop() exclude each other. Costs one load while nobody listens.
class WriteLog {
 public:
  /// Pages of `range`, which is the same each time. May throw std::bad_alloc.
  void start(GpaRange range);
  void stop() { on_.store(false, std::memory_order_release); }
  [[nodiscard]] bool is_on() const { return on_.load(std::memory_order_acquire); }

  void note(GpaRange written) noexcept {
    if (is_on()) add(written);
  }
  /// What was noted since start() or the last call.
  void take(PageSet& into);

 private:
  void add(GpaRange written) noexcept;

  std::atomic<bool> on_ = false;
  // Made once and kept: somebody may still note something when the log has ended.
  GpaRange range_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> words_;
};

}  // namespace uvm
