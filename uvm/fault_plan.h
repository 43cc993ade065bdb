// The decision table of a fault: facts in, case out, nothing else (NetBSD uvm_fault.c, uvm_fault_check and
// the upper and lower halves behind it).
//
//                      the page is private already          it is not
//                   +------------------------------+------------------------------+
//   use it as it is | 1A  ours alone, or only read | 2A  the object's, only read,  |
//                   |                              |     or written where shared   |
//                   +------------------------------+------------------------------+
//   copy it first   | 1B  written, others hold it  | 2B  written privately; or     |
//                   |     too                      |     there is no object: zeros |
//                   +------------------------------+------------------------------+
//
// What NetBSD has not: the host can resolve 2B, and 1A of what it made, without us. Wherever that is right
// the plan says so with `fill`, and the driver enters a whole run instead of handling one page. A space with
// a memory limit must see every page that is made, so there the host is left nothing.
#pragma once

#include <cstdint>

#include "uvm/pmap.h"
#include "uvm/protection.h"

namespace uvm {

/// Who holds the private page of a slot.
enum class SlotState : std::uint8_t {
  Empty,     // there is none
  InPlace,   // a private frame at this address of this space, known to the pmap
  Alone,     // an anon that only this amap holds
  Borrowed,  // an anon that other amaps (or pins) hold too
  Swapped,   // an anon whose bytes are in swap
};

struct FaultFacts {
  AccessKind access = AccessKind::Read;
  FaultKind kind = FaultKind::Plain;
  Protection protection = Protection::None;
  Protection max_protection = Protection::None;
  Sharing sharing = Sharing::Private;
  bool has_object = false;
  bool revocable = false;  // the object's pages can be taken away by others (Tenure)
  bool has_amap = false;
  bool needs_copy = false;  // the amap is another mapping's too (implies has_amap)
  /// Private pages are others' too: the amap appears at several places that see each other's writes, or other
  /// processes use them.
  bool amap_shared = false;
  bool limited = false;  // the space counts its private pages
  SlotState slot = SlotState::Empty;
};

enum class FaultCase : std::uint8_t {
  NotAllowed,  // the mapping forbids the access
  CopyAmap,    // give the entry an amap of its own, then look again
  UseAnon,     // 1A
  CopyAnon,    // 1B
  UseObject,   // 2A
  CopyObject,  // 2B over an object
  ZeroFill,    // 2B without one
  PageIn,      // bring the bytes back from swap, then look again
};

struct FaultPlan {
  FaultCase what = FaultCase::NotAllowed;
  /// What to enter with: never more than today's protection, even for WireMax, so that text stays text.
  Protection rights = Protection::None;
  /// CopyOnWrite or Zero: enter a run and leave the page to the host. Exact: this page is ours to make.
  /// Present: the same in a space that counts, where the page is, or will be, private in place.
  Fill fill = Fill::Exact;
  /// For the copying cases.
  Placement placement = Placement::InPlace;

  friend bool operator==(const FaultPlan&, const FaultPlan&) = default;
};

[[nodiscard]] FaultPlan plan_fault(const FaultFacts& facts);

}  // namespace uvm
