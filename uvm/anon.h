// Anon: one private page that several amaps, or a pin, may hold.
//
// Most private pages of a guest never become an Anon. The host makes them while the guest runs, in place, and
// the pmap knows them (Pmap::harvest); such a page belongs to exactly one address of one space, so there is
// nothing to count. A page becomes an Anon when it has to be usable from more than one place, or when its
// bytes are in swap. An anon never changes: what comes back from swap is a new page (see reclaim.h).
#pragma once

#include <atomic>
#include <cstdint>

#include "uvm/frame.h"

namespace uvm {

class Pmap;

/// Counted by hand, because the last reference gives the frame back through the pmap of whoever lets go: the
/// pmap that made it can be gone by then. Thread-safe.
class Anon {
 public:
  /// Takes over `frame`, which came from a Shareable promotion, or is a slot of a swap area. The caller holds
  /// the one reference.
  [[nodiscard]] static Anon* create(Frame frame) { return new Anon(frame); }
  Anon(const Anon&) = delete;
  Anon& operator=(const Anon&) = delete;

  [[nodiscard]] Frame frame() const { return frame_; }
  /// The frame names a swap slot, which no pmap can enter.
  [[nodiscard]] bool is_swapped() const { return frame_.store->as_swap() != nullptr; }
  void reference() { references_.fetch_add(1, std::memory_order_relaxed); }
  /// Lets go of one reference; the last one frees the frame, through `pmap` or in swap, and ends the anon.
  void release(Pmap& pmap);
  /// True is final while the caller's own reference cannot be copied by others: whoever shared the page has
  /// let go, and is done with its bytes.
  [[nodiscard]] bool is_mine_alone() const { return references_.load(std::memory_order_acquire) == 1; }

 private:
  explicit Anon(Frame frame) : frame_(frame) {}
  ~Anon() = default;

  const Frame frame_;
  std::atomic<std::uint32_t> references_{1};
};

}  // namespace uvm
