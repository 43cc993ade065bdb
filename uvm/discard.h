// Pages that a guest has done with are given back (NetBSD uvm_map_clean() with PGO_FREE, madvise's
// MADV_FREE).
//
// What has a translation of its own leaves in the order of every other page: out of its slot and translation
// away, flushed by all vCPUs, freed. Pages in place leave in the pmap, which knows that order. Who brings
// such a page to swap, or back, meanwhile finds that it is no longer what it was, and leaves it.
#pragma once

#include <cstdint>
#include <vector>

#include "uvm/entry.h"
#include "uvm/locked_amap.h"
#include "uvm/map.h"
#include "uvm/reclaim.h"

namespace uvm {

/// One walk over a range. Used once, by one thread.
class Discard {
 public:
  /// `account` is told which pages are gone.
  Discard(const Reclaim::Memory& memory, Reclaim& account) : memory_(memory), account_(account) {}
  ~Discard() { finish(); }
  Discard(const Discard&) = delete;
  Discard& operator=(const Discard&) = delete;

  /// With the map's lock held exclusively. Throws std::bad_alloc; what was done is done.
  void run(GpaRange range) REQUIRES(memory_.map.lock());
  /// Without locks: flushes, and frees what run() took. Idempotent.
  void finish();
  /// Bytes that cost nothing now.
  [[nodiscard]] std::uint64_t given_back() const { return given_back_; }

 private:
  /// A part of one mapping that no pin holds.
  void visit(Entry& entry, GpaRange part) REQUIRES(memory_.map.lock());
  void visit_layer(Entry& entry, GpaRange part) REQUIRES(memory_.map.lock());
  /// Whether a page of the part has to stay as it is.
  [[nodiscard]] bool keeps(const Entry& entry, GpaRange part) const;
  void take(const Entry& entry, LockedAmap& amap, SlotRange slots);

  const Reclaim::Memory memory_;
  Reclaim& account_;
  std::uint64_t given_back_ = 0;
  std::vector<Anon> taken_;  // out of their slots, and held
};

}  // namespace uvm
