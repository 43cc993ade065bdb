// Anon: one private page that several amaps, or a pin, may hold.
//
// Most private pages of a guest never become an Anon. The host makes them while the guest runs, in place, and
// the pmap knows them (Pmap::harvest); such a page belongs to exactly one address of one space, so there is
// nothing to count. A page becomes an Anon when it has to be usable from more than one place, or when its
// bytes are in swap. An anon never changes: what comes back from swap is a new page (see reclaim.h).
//
// NetBSD has a structure for each. Here the frame is all there is to know, so an anon is its frame, and a
// slot of an amap is 8 bytes; holders beyond the first are counted at the store (extra_holders.h).
#pragma once

#include "uvm/frame.h"

namespace uvm {

class Pmap;

/// A value that stands for a hold without being one: who keeps it counts by hand, because the last holder
/// gives the frame back through the pmap of whoever lets go (the pmap that made it can be gone by then).
/// Thread-safe.
class Anon {
 public:
  /// Of a frame that came from a Shareable promotion, or is a slot of a swap area, and that the caller alone
  /// holds; or of one that is held already.
  explicit Anon(Frame frame) : frame_(frame) {}

  [[nodiscard]] Frame frame() const { return frame_; }
  /// The frame names a swap slot, which no pmap can enter.
  [[nodiscard]] bool is_swapped() const { return frame_.store->as_swap() != nullptr; }
  /// One hold more. Throws std::bad_alloc, and then it is none.
  void reference() const { frame_.store->extra_holders().add(frame_.index); }
  /// Lets go of one hold; the last one frees the frame, through `pmap` or in swap.
  void release(Pmap& pmap) const;
  /// True is final while the caller's own hold cannot be copied by others: whoever shared the page has let
  /// go, and is done with its bytes.
  [[nodiscard]] bool is_mine_alone() const { return !frame_.store->extra_holders().any(frame_.index); }

  /// For listings: the holds besides the caller's.
  [[nodiscard]] std::uint64_t others() const { return frame_.store->extra_holders().count(frame_.index); }

  friend bool operator==(const Anon&, const Anon&) = default;

 private:
  Frame frame_;
};

}  // namespace uvm
