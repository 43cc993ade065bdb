// What each of several guests costs in host memory, when they share a part of it.
//
// Each guest's process tells which pages of which files it shows (resident_pages.h), and whoever has heard
// all of them does the sum. Nothing is kept anywhere in between: no count goes wrong when a process ends,
// however it does; it is not heard, and what it shared is its sharers' alone. A page is in one guest's own
// count or in one run of one file, so that none is counted twice, and the proportional parts of all guests
// are what they have in memory together.
//
// BESIDE THE KERNEL'S smaps, for the mappings that show guest memory: unique is Private_Clean and
// Private_Dirty, shared is Shared_Clean and Shared_Dirty, proportional is Pss, each to the page while the
// guests stand still. They differ
//   - where somebody maps a page who is no guest: the view of a checkpoint or of a snapshot's writer, a
//   device
//     process. smaps counts these among the sharers;
//   - in pages that the guest has hidden behind another mapping (the stash of the window), whose mapping has
//     another name in smaps;
//   - by rounding: smaps cuts the Pss of each mapping down to 1 KiB.
// Neither has what is in no page table: pages of an object that nobody has touched yet, or that everybody has
// a copy of. HeldObjects::unseen has these.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "vmm/machine/resident_pages.h"

namespace vmm {

/// Bytes, as the kernel's smaps has them for processes (USS, PSS), but counted among guests: who else maps a
/// page (a device process, the view of a checkpoint) is no guest.
struct MemoryShare {
  std::uint64_t unique = 0;        // in no other guest: what its end gives back
  std::uint64_t shared = 0;        // in others, too
  std::uint64_t proportional = 0;  // unique, and of each shared page its part

  friend bool operator==(const MemoryShare&, const MemoryShare&) = default;
};

/// In the order of `guests`.
[[nodiscard]] std::vector<MemoryShare> shares_of(std::span<const ResidentPages> guests);

/// The objects in host memory that guests keep alive (frozen memory, RAM), each counted once.
struct HeldObjects {
  std::size_t objects = 0;
  std::uint64_t held = 0;    // bytes
  std::uint64_t unseen = 0;  // of these, in no guest's view: in nobody's shares

  friend bool operator==(const HeldObjects&, const HeldObjects&) = default;
};

[[nodiscard]] HeldObjects objects_of(std::span<const ResidentPages> guests);

}  // namespace vmm
