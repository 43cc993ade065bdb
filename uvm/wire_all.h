// Wiring of a space as a whole: what mlockall(2) is to a process.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "uvm/base/range.h"
#include "uvm/counted_ranges.h"
#include "uvm/pin.h"

namespace uvm {

/// The pins of one Space::wire_all(), and the order to make more of them. NetBSD counts on its entries what
/// was wired before, tests that count the wrong way round when wiring fails in the middle, and so leaves new
/// pages wired and unwires older locks (uvm_map.c:uvm_map_pageable_all). Here what was wired is a list of
/// pins: undoing it ends them, and nobody else's (rules D1 and D7). Thread-safe.
class WireAll {
 public:
  WireAll(WireScope scope, std::shared_ptr<PinOwner> owner, ForkPolicy policy)
      : scope_(scope), owner_(std::move(owner)), policy_(policy) {}
  WireAll(const WireAll&) = delete;
  WireAll& operator=(const WireAll&) = delete;

  [[nodiscard]] bool wires_future() const { return scope_ != WireScope::Current; }
  /// Pins what is mapped in the range with any rights and not pinned by this yet. All or nothing. Call it
  /// without locks. Errors: those of Pin::create. Throws std::bad_alloc, and has pinned nothing then.
  [[nodiscard]] Status wire(Space& space, GpaRange range) EXCLUDES(lock_);

 private:
  [[nodiscard]] std::vector<std::pair<GpaRange, PinAccess>> missing(const Space& space, GpaRange range) const
      EXCLUDES(lock_);

  const WireScope scope_;
  const std::shared_ptr<PinOwner> owner_;
  const ForkPolicy policy_;
  mutable Mutex lock_{LockRank::Leaf};
  CountedRanges held_ GUARDED_BY(lock_);
  std::vector<Pin> pins_ GUARDED_BY(lock_);
};

}  // namespace uvm
