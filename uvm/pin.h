// Pins: guest memory that somebody outside uvm reads or writes for longer than a function (a device's DMA, a
// region registered for transfer, memory an operator wants resident).
//
// A pin is a record of (space, range, owner) with the frames it holds. While it lives these frames are the
// memory: no fault, no debugger's write, no fork of this space or of one that shares the memory, and no loss
// of translations puts another page in their place. What it does not hold is the translation, so dropping all
// of them stays free, and the rights, so a pinned page may be protected and be opened again.
//
// Pins of one range nest: each is counted, and each ends alone. A scatter list is one pin: one charge, one
// record, one look at the map and at the host, however many ranges it has.
//
//     uvm::PinRequest request;
//     request.owner = uvm::PinOwner::create("disk0");
//     UVMM_TRY(const uvm::Pin pin, uvm::Pin::create(space, range, request));
//     const iovec part{pin.bytes().data(), pin.bytes().size()};   // until `pin` ends, the guest's memory
//
// tests/package/in_process.cc is the whole program. Another process gets the pages with Placement::Shareable
// and ept::extents_of().
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/range.h"
#include "uvm/pin_owner.h"
#include "uvm/pin_request.h"
#include "uvm/pin_table.h"
#include "uvm/space.h"
#include "uvm/wire.h"

namespace uvm {

/// Move-only; not for use by two threads at once. Its end unpins, from the record and nothing else, and takes
/// no lock that is held while a fault sleeps. Stop the owner's work on the bytes before.
///
/// A pin should end before its space does. One that outlives it holds the pages of objects still, and private
/// ones no longer: those are the space's.
class Pin {
 public:
  /// Pins `range` (page-aligned, not empty, mapped throughout), whose mappings must allow `access` now. Every
  /// private page becomes what it would be after the most its mapping can ever allow (FaultKind::WireMax).
  /// `owner` must not be null. All or nothing: after an error nothing is pinned or charged. May sleep in
  /// pagers. Errors: Invalid, NoMapping, Protection, EndOfObject, PagerIo, NoMemory (of the pmap; or over the
  /// limit of the owner or the space, or its memory limit), Busy (an object keeps changing), NoBacking (a
  /// device's registers). A pin of a shared mapping of a file is as good as the file: who cuts it takes what
  /// is pinned there.
  ///
  /// With Placement::Shareable besides: Pinned (private pages of the range are pinned in place already),
  /// Busy (an Access is open there), Unsupported (the space has a memory limit, which could not count pages
  /// elsewhere).
  [[nodiscard]] static Result<Pin> create(Space& space, GpaRange range, const PinRequest& request);
  [[nodiscard]] static Result<Pin> create(Space& space, GpaRange range, PinAccess access,
                                          std::shared_ptr<PinOwner> owner,
                                          ForkPolicy policy = ForkPolicy::Copy) {
    return create(space, range, {std::move(owner), access, policy, Placement::InPlace, Patience::Sleep});
  }
  /// The same for a scatter list, which may not be empty; its ranges may touch, overlap and repeat. A page
  /// that is in several of them is held, charged and counted once.
  [[nodiscard]] static Result<Pin> create(Space& space, std::span<const GpaRange> ranges,
                                          const PinRequest& request);

  Pin(Pin&& other) noexcept = default;
  Pin& operator=(Pin&& other) noexcept;
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;
  ~Pin() { release(); }

  /// What was asked for, in that order.
  [[nodiscard]] std::span<const GpaRange> ranges() const {
    return list_.empty() ? std::span(&range_, 1) : std::span(list_);
  }
  /// The range; of a scatter list, the smallest one that holds all of it.
  [[nodiscard]] GpaRange range() const { return range_; }
  /// Bytes that are held, each page once.
  [[nodiscard]] std::uint64_t size() const { return charged_; }
  [[nodiscard]] const PinOwner& owner() const { return *owner_; }
  /// The frames of all pages, ascending; without holes where the ranges have none. They are the same as long
  /// as the pin lives.
  [[nodiscard]] const std::vector<WiredRun>& runs() const { return wiring_.runs(); }
  /// Those of one range of the list, or of a part of one.
  [[nodiscard]] std::vector<WiredRun> runs_of(GpaRange part) const;
  /// Host bytes of one range of the list, or of a part of one, as Access::bytes() shows them: the processor
  /// reaches them through the translations, which may go, so touching them may wait for a fault, and is a
  /// signal where the guest has lost the right meanwhile. Made for system calls (iovecs), which answer EFAULT
  /// then. The space must live. Empty when the host cannot show it in one piece.
  [[nodiscard]] std::span<std::byte> bytes(GpaRange part) const { return pmap_->bytes(part); }
  /// Of the only range.
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes(range_); }
  /// The frame of the page that holds `address`, which must be in one of the ranges.
  [[nodiscard]] Frame frame_at(Gpa address) const;

 private:
  Pin() = default;
  void release();

  // Null after a move, and as long as there is nothing to undo. The table is shared with the space, so that a
  // pin that ends late finds its record.
  std::shared_ptr<PinOwner> owner_;  // charged
  std::shared_ptr<PinTable> table_;  // has the record
  std::uint64_t id_ = 0;
  Pmap* pmap_ = nullptr;  // null after a move
  GpaRange range_;
  std::vector<GpaRange> list_;  // empty: the range is the list
  std::uint64_t charged_ = 0;   // bytes
  Wiring wiring_;
};

}  // namespace uvm
