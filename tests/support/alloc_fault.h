// Host memory that runs out at a chosen allocation: what "nothing half done" is tested with.
//
// alloc_fault.cc replaces operator new and delete of the test program it is linked into, sanitizers included:
// they watch malloc(), which the replacements call. Nothing happens to a thread that has no AllocFault.
#pragma once

#include <cstdint>

#include "uvm/base/sanitizers.h"

namespace test {

/// From one allocation that fails to the next that does. One thread is all there is here: ThreadSanitizer
/// takes ten times as long and has nothing to find, so it gets a sample.
inline constexpr std::uint64_t kAllocStride = uvm::kThreadSanitized ? 13 : 1;

struct AllocState {
  std::uint64_t until_failure = 0;  // 1: the next allocation fails; 0: none does
  bool stays_exhausted = false;
  bool has_failed = false;
  int paused = 0;
  std::int64_t live = 0;        // allocations of this thread that nobody gave back
  std::int64_t live_bytes = 0;  // what malloc() made of them
};
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): operator new has no other place for it
extern constinit thread_local AllocState alloc_state;

enum class Exhaustion : std::uint8_t {
  Once,        // one allocation fails, the next finds memory: an error can be told in full
  FromThenOn,  // no allocation succeeds any more
};

/// While it lives the n-th allocation of the calling thread, counted from 1, throws std::bad_alloc. One a
/// thread.
class AllocFault {
 public:
  explicit AllocFault(std::uint64_t n, Exhaustion how = Exhaustion::Once) {
    alloc_state.until_failure = n;
    alloc_state.stays_exhausted = how == Exhaustion::FromThenOn;
    alloc_state.has_failed = false;
  }
  ~AllocFault() { alloc_state.until_failure = 0; }
  AllocFault(const AllocFault&) = delete;
  AllocFault& operator=(const AllocFault&) = delete;

  /// Whether the allocation came.
  [[nodiscard]] static bool has_failed() { return alloc_state.has_failed; }
};

/// While it lives the calling thread's allocations neither fail nor count: for what simulates a machine.
class AllocPause {
 public:
  AllocPause() { ++alloc_state.paused; }
  ~AllocPause() { --alloc_state.paused; }
  AllocPause(const AllocPause&) = delete;
  AllocPause& operator=(const AllocPause&) = delete;
};

/// The opposite, inside an AllocPause: for what a simulated machine calls back.
class AllocResume {
 public:
  AllocResume() : paused_(alloc_state.paused) { alloc_state.paused = 0; }
  ~AllocResume() { alloc_state.paused = paused_; }
  AllocResume(const AllocResume&) = delete;
  AllocResume& operator=(const AllocResume&) = delete;

 private:
  const int paused_;
};

/// What the calling thread allocated and nobody gave back on it, counted, and in bytes: as many as can be
/// used of each, which is what was asked for and what that was rounded up to.
[[nodiscard]] inline std::int64_t live_allocations() {
  return alloc_state.live;
}
[[nodiscard]] inline std::int64_t live_bytes() {
  return alloc_state.live_bytes;
}

}  // namespace test
