// One cluster on its way to swap.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "uvm/busy_slots.h"
#include "uvm/entry.h"
#include "uvm/locked_amap.h"
#include "uvm/reclaim.h"

namespace uvm {

/// Whether pages of the mapping can be reclaimed: private, and nobody sees what others write to them.
[[nodiscard]] bool may_go(const Entry& entry, const LockedAmap& amap);
/// The parts of a range that no pin holds, ascending.
[[nodiscard]] std::vector<GpaRange> unpinned(const PinTable& pins, GpaRange range);

/// The pages in place of a part of one cluster, found with one look.
class InPlace {
 public:
  InPlace(Pmap& pmap, GpaRange part);
  [[nodiscard]] std::optional<Frame> at(Gpa page) const { return frames_[(page - begin_) >> kPageShift]; }

 private:
  const Gpa begin_;
  std::array<std::optional<Frame>, kClusterPages> frames_;
};

/// Used once, by one thread, without locks. What asks the pmap does so for runs of pages: each call of it may
/// be several system calls, which cost more than a page's bytes.
class PageOut {
 public:
  /// `swap` null: only pages of zeros go. `account` is told which pages are gone.
  PageOut(const Reclaim::Memory& memory, Swap* swap, Reclaim& account)
      : memory_(memory), swap_(swap), account_(account) {}
  PageOut(const PageOut&) = delete;
  PageOut& operator=(const PageOut&) = delete;

  /// Moves out what can go of one cluster, mapping by mapping, and says how many pages went. Errors, when
  /// none did: NoMemory (swap or host memory full), PagerIo; the pages are as they were, but hidden.
  [[nodiscard]] Result<std::uint64_t> run(GpaRange cluster);
  /// Of these, how many were written to swap; the others were zeros.
  [[nodiscard]] std::uint64_t written() const { return written_; }

 private:
  struct Victim {
    Gpa page;
    std::uint64_t slot = 0;
    std::optional<Anon> anon;  // none: private in place
    Frame frame;
    std::optional<Frame> swapped = {};  // where the bytes are; none: zeros
    bool is_lost = false;               // its bytes are not known, or not written: it stays
  };
  /// The victims of one mapping, busy.
  struct Batch {
    BusySlots busy;
    bool zeros_may_go = false;
    std::vector<Victim> victims;
  };

  [[nodiscard]] Status run_part(GpaRange part);
  /// Resolves needs_copy, as a write would: the slots have to be ours to change.
  void own_amap(Gpa page);
  /// Makes what can go of the mapping at `part.begin()` busy, and takes its translations away.
  [[nodiscard]] std::optional<Batch> choose(GpaRange part);
  void choose_pages(const Entry& entry, const LockedAmap& amap, GpaRange part, Batch& batch);
  [[nodiscard]] Status write(Batch& batch);
  /// The bytes of victims[i] are page i of bytes_ afterwards, unless it is lost.
  void read(std::span<Victim> victims);
  /// Writes the bytes of `victims`, which are in bytes_ from page `begin` on, as one run of slots, or as
  /// shorter ones when swap has no run that long.
  [[nodiscard]] Status write_run(std::span<Victim* const> victims, std::size_t begin);
  /// Puts swap slots, or nothing, in the place of what is still as it was chosen.
  void commit(Batch& batch);
  void commit_part(const Entry& entry, std::span<Victim> victims);
  [[nodiscard]] bool is_unchanged(const Entry& entry, const LockedAmap& amap, const Victim& victim) const;
  void replace(LockedAmap& amap, Victim& victim);
  /// Slots that were written and that no anon names.
  void free_unused(Batch& batch);

  const Reclaim::Memory& memory_;
  Swap* const swap_;
  Reclaim& account_;
  std::vector<std::byte> bytes_;
  std::uint64_t gone_ = 0;
  std::uint64_t written_ = 0;
};

}  // namespace uvm
