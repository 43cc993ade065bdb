// The swap contract: where the bytes of private pages go when a space has to live within a memory limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "uvm/base/error.h"
#include "uvm/frame.h"

namespace uvm {

/// One page's place in a swap area: its number, in pages from the start of the area.
struct SwapSlot {
  std::uint64_t number = 0;

  friend constexpr auto operator<=>(const SwapSlot&, const SwapSlot&) = default;
};

struct SwapUsage {
  std::uint64_t slots = 0;  // pages the area can hold
  std::uint64_t used = 0;   // pages it holds now
};

/// A swap area. Thread-safe; several spaces may use one, and it outlives all of them, forks of them included:
/// a page that went out is known by the frame (area, slot) until the last space lets go of it.
///
/// write() and read() do the I/O, may sleep, and are called without any lock. free() is called with an amap
/// locked, so it neither sleeps nor does I/O, and takes locks of rank Leaf only.
class Swap : public FrameStore {
 public:
  Swap() : FrameStore(this) {}
  /// Stores whole pages in as many consecutive free slots, all or nothing, and says which the first is.
  /// Errors: NoMemory (no run of that many free slots: the caller tries fewer), PagerIo (nothing was stored).
  [[nodiscard]] virtual Result<SwapSlot> write(std::span<const std::byte> pages) = 0;

  /// Fills `to`, whole pages, from consecutive slots that were written; they stay written. Never made-up
  /// bytes: what cannot be read, or is not what was written, is PagerIo, and a later try may succeed.
  [[nodiscard]] virtual Status read(SwapSlot first, std::span<std::byte> to) = 0;

  /// Nobody needs these slots any more. Each was written, and not freed since; they need not come from one
  /// write().
  virtual void free(SwapSlot first, std::uint64_t pages) = 0;

  [[nodiscard]] virtual SwapUsage usage() const = 0;
};

}  // namespace uvm
