// A guest-physical address space: the public face of the VM system.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "uvm/access_mode.h"
#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "uvm/base/range.h"
#include "uvm/discarded.h"
#include "uvm/extract_request.h"
#include "uvm/map.h"
#include "uvm/map_request.h"
#include "uvm/open_ranges.h"
#include "uvm/patience.h"
#include "uvm/pin_table.h"
#include "uvm/pmap.h"
#include "uvm/protection.h"
#include "uvm/reclaim.h"
#include "uvm/statistics.h"
#include "uvm/tile.h"
#include "uvm/write_log.h"

namespace uvm {

struct FaultContext;
class SpaceFork;
class WireAll;

/// One vmspace. Thread-safe: faults run side by side, changes of the map exclude them. Every operation is all
/// or nothing unless it says otherwise; every error names the space and the range. What returns a Status or a
/// Result answers NoMemory when host memory is exhausted, and names nothing only if there is none for the
/// name; what ends something (a destructor, a pin's or an access's end) needs none; listings throw
/// std::bad_alloc. All ranges are in bytes of guest-physical addresses and have to be page-aligned, not
/// empty, and inside limits().
class Space {
 public:
  /// Does not own `pmap`, which must be used by this space only and outlive it. `limits`: page-aligned, below
  /// 2^52. Errors: Invalid.
  [[nodiscard]] static Result<std::unique_ptr<Space>> create(std::string name, Pmap& pmap, GpaRange limits);
  /// Unmaps everything. No vCPU may run on the pmap any more.
  ~Space();
  Space(const Space&) = delete;
  Space& operator=(const Space&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] GpaRange limits() const { return limits_; }
  [[nodiscard]] Pmap& pmap() { return pmap_; }

  /// Makes a mapping and enters as much of it as the pager gives at no cost, so that most accesses never
  /// become a fault. Errors: Invalid, Busy (something is there; or an Access is open on what would be
  /// replaced), Pinned (a part of what would be replaced), Protection (more than the object allows), NoMemory
  /// (the pmap's too, unless something was replaced, which cannot come back: then that is what the one who
  /// touches the page meets). A pager's error is never map()'s: it meets the one who touches the page.
  [[nodiscard]] Status map(const MapRequest& request);

  /// Unmaps whatever lies in the range; holes are fine. Private pages are lost. Errors: Invalid, Busy (an
  /// Access is open on a part), Pinned (a part; the message names range and owner).
  [[nodiscard]] Status unmap(GpaRange range);

  /// Sets the rights, of what is pinned too: a pin holds pages, and not the guest's right to use them.
  /// Errors: Invalid, NoMapping (a hole in the range), Protection (beyond max_protection of a part), Busy (an
  /// Access is open for what is taken away).
  [[nodiscard]] Status protect(GpaRange range, Protection protection);

  /// What a fork does with the mappings; how far faults look ahead. Errors: Invalid, NoMapping.
  [[nodiscard]] Status inherit(GpaRange range, Inherit inherit);
  [[nodiscard]] Status advise(GpaRange range, Advice advice);

  /// Resolves an access to `address` (any byte of the page): a stage-2 event, a debugger's poke, a pin. On
  /// success the access can be repeated and will find its translation, unless somebody takes it away in
  /// between; then it faults again. May sleep in a pager. Errors: NoMapping, Protection, EndOfObject,
  /// PagerIo, NoMemory.
  [[nodiscard]] Status fault(Gpa address, AccessKind access, FaultKind kind = FaultKind::Plain);

  /// A new space over `pmap` (as for create()) in which every mapping is what its inheritance says: None: not
  /// there. Share: the same memory, each sees what the other writes. Copy: what the pages are now, neither
  /// sees what the other writes later. Zero: zeros. No page is copied but those the host made in place, which
  /// move to where both can use them. vCPUs may run: every page is consistent in itself, but stop them for a
  /// picture of one moment.
  ///
  /// Private memory that is pinned (by this space or by one that shares it) is not made common with a child
  /// that inherits it as Copy: the child gets copies of those pages at once, and whoever pinned them keeps
  /// frames, translations and the right to write. Such a page is copied while it can be written, by the
  /// owner's device and by vCPUs. Errors: Pinned (the pin's ForkPolicy forbids it, or private pages that are
  /// pinned in place would have to be shared), Busy (an Access is open), Unsupported (Copy of a writable
  /// shared mapping of an object, whose later writes the child would see), NoMemory.
  [[nodiscard]] Result<std::unique_ptr<Space>> fork(std::string name, Pmap& pmap);

  /// Makes a range of this space visible in another, for writing: both see what either writes, and whoever
  /// shared the memory with this space as a copy sees none of it. The mapping there is an ordinary one that
  /// no fork inherits; unmap it when it is not needed. Of this space, the range gets a layer of its own, and
  /// from then on faults there are events. Errors: Invalid, NoMapping (a hole in the range), Protection (more
  /// than the max_protection of a part), Busy (an Access is open on a part, or something is mapped in the
  /// other space), Pinned (private pages that are pinned where the other space could not use them), NoMemory.
  [[nodiscard]] Status extract(const ExtractRequest& request, Space& target);

  /// Wires the space as a whole: what is mapped now, what will be mapped from now on, or both, as pins of
  /// `owner` (not null), until unwire_all(). Mappings without any rights are left out until protect() gives
  /// them some. All or nothing: after an error nothing is pinned that was not pinned before, and what others
  /// pinned stays so. While what comes is wired, a map() or protect() that cannot wire fails and leaves the
  /// range unmapped, or with the rights it had. Errors: Busy (it is wired as a whole), those of Pin::create.
  [[nodiscard]] Status wire_all(WireScope scope, std::shared_ptr<PinOwner> owner,
                                ForkPolicy policy = ForkPolicy::Copy);
  /// Ends that, if it is so.
  void unwire_all();

  /// Drops the private copy of the page that holds `address` when its bytes are those of the object's page
  /// below it (of zeros, without an object), so that the page is shared again: for a debugger who has put
  /// back what it overwrote. Only pages that are private in place. Errors: NoMapping, Busy (an Access is
  /// open), Pinned, and those of the object's pager.
  [[nodiscard]] Result<Reshared> reshare(Gpa address);

  /// Objects can lose pages behind our back: a file that is mapped is cut. Takes the translations of such
  /// pages away, in every space that has them, so that whoever touches them next faults and is told. For
  /// those who found memory that should be there inaccessible. Errors: the pager's, for the first page that
  /// is lost.
  [[nodiscard]] Status drop_lost();

  /// The guest has done with these pages, whatever they hold: they are given back, so that they cost nothing.
  /// What it reads there afterwards is zeros, or, in a private mapping of an object, the object's page again,
  /// which it had there before it wrote: never what another space wrote. Translations stay where they can, so
  /// that the next access need not be a fault. In detail:
  ///   private pages      freed, in place, elsewhere or in swap; a fork's other side keeps its own
  ///   an object's pages  zeros (a hole), if it is mapped shared, can make some, and nobody else maps them
  ///   kept as they are   pages that are pinned, that an Access has open, that others see the writes of
  ///                      (share groups, objects that others map), that may not be written now, and holes
  /// A pin that has outlived its space holds frames of objects which this may empty. Errors: Invalid,
  /// NoMemory (a part may be given back all the same).
  [[nodiscard]] Result<Discarded> discard(GpaRange range);

  /// Property P0: forgets every translation while vCPUs run. Nobody can tell but by the clock.
  void drop_translations();

  /// The mapping at an address; all mappings, ascending.
  [[nodiscard]] std::optional<EntryInfo> entry_at(Gpa address) const;
  [[nodiscard]] std::vector<EntryInfo> entries() const { return entries(limits_); }
  [[nodiscard]] std::vector<EntryInfo> entries(GpaRange range) const;
  /// Measured now, bytes.
  [[nodiscard]] Residency residency(GpaRange range) const { return pmap_.residency(range); }
  [[nodiscard]] FaultStatistics statistics() const { return counters_.snapshot(); }
  /// Measured now; asks the host about every page.
  [[nodiscard]] InPlacePages in_place_pages() const;

  /// What is pinned, oldest first; how many pins hold the page at an address; the sums.
  [[nodiscard]] std::vector<PinInfo> pins() const { return pins_->list(); }
  [[nodiscard]] std::uint64_t pin_count(Gpa address) const { return pins_->count_at(address); }
  [[nodiscard]] PinStatistics pin_statistics() const { return pins_->statistics(); }
  /// The most bytes that may be pinned at once; pins that exist stay.
  void limit_pins(std::uint64_t bytes) { pins_->set_limit(bytes); }
  /// From here on the space keeps its private pages in memory within the limit, and what is too much goes to
  /// swap (reclaim.h; set it before guests run, because everything entered until now is forgotten once).
  /// Again: changes the bytes. Pages over a lowered limit go with the next faults, or reclaim(). A fork has
  /// no limit until it gets one. Errors: Invalid (too small, another swap), Unsupported (a writable shared
  /// mapping of an object, now or in a later map()), Busy (an Access is open), NoMemory.
  [[nodiscard]] Status set_limit(const MemoryLimit& limit);
  /// Moves up to so many bytes out of memory, in clusters, and says how many went: 0 when nothing can, which
  /// is no error. For a thread that MemoryLimit::low wakes; sleeps in swap. Errors, when nothing went: those
  /// of Swap::write.
  [[nodiscard]] Result<std::uint64_t> reclaim(std::uint64_t bytes);
  /// `swapped` is counted now, slot by slot.
  [[nodiscard]] ReclaimStatistics reclaim_statistics() const;
  /// Why the last attempt to reclaim failed; nothing since something went.
  [[nodiscard]] std::optional<Error> reclaim_failure() const { return reclaim_.last_failure(); }

  /// From here on the space notes which pages of a range somebody else than the guest's vCPUs writes, maps or
  /// gives back, for who copies the guest's memory while it runs (write_log.h). One at a time; the range is
  /// the same each time. Errors: NoMemory.
  [[nodiscard]] Status start_write_log(GpaRange range);
  void stop_write_log() { written_->stop(); }
  /// Adds what was noted since then or since the last call, and what can be written through a pin now. May
  /// throw std::bad_alloc.
  void take_written(PageSet& into);
  /// For who writes private pages at the pmap, when that is done.
  void note_written(GpaRange range) { written_->note(range); }

  /// Host memory spent on describing the space, bytes: entries and amaps here, tables in the pmap.
  [[nodiscard]] std::uint64_t metadata_bytes() const;
  /// Bytes of the range that are in swap; counted now, slot by slot.
  [[nodiscard]] std::uint64_t swapped(GpaRange range) const;
  /// The picture of the space: calls `found` for every tile in which memory is mapped, ascending. Asks the
  /// host about every page that is there (13 ns each), a stretch of 256 MiB after the other; vCPUs run
  /// meanwhile, and each stretch is what it was at its moment.
  void tiles(const std::function<void(const Tile&)>& found) const;
  /// Grows with every change of the map.
  [[nodiscard]] std::uint64_t version() const;

 private:
  friend class Access;  // faults pages in and marks ranges as being accessed
  friend class Pin;     // wires pages and records ranges as being pinned

  Space(std::string name, Pmap& pmap, GpaRange limits);
  [[nodiscard]] Status check_range(GpaRange range, const char* operation) const;
  [[nodiscard]] Status check_request(const MapRequest& request) const;
  [[nodiscard]] Status check_not_open(GpaRange range, const char* operation) const REQUIRES(map_.lock());
  [[nodiscard]] Status check_not_pinned(GpaRange range, const char* operation) const REQUIRES(map_.lock());
  /// Errors: Pinned (private pages of the range have to stay where only this space can use them).
  [[nodiscard]] Status check_movable(GpaRange range, const char* operation) const REQUIRES(map_.lock());
  /// Of ascending ranges.
  [[nodiscard]] Status check_pin(std::span<const GpaRange> ranges, AccessKind access,
                                 Placement placement) const REQUIRES_SHARED(map_.lock());
  [[nodiscard]] Status check_access(GpaRange range, AccessKind access, const char* operation) const
      REQUIRES_SHARED(map_.lock());
  /// From now on the range has private pages only where other processes can map them.
  [[nodiscard]] Status place_shareable(GpaRange range);
  /// Whether that is still so.
  [[nodiscard]] Status check_shareable(GpaRange range) const REQUIRES_SHARED(map_.lock());
  [[nodiscard]] Status check_mapped(GpaRange range, const char* operation) const REQUIRES_SHARED(map_.lock());
  [[nodiscard]] Error refuse(ErrorKind kind, const char* operation, GpaRange range, const std::string& why,
                             std::string way_out = {}) const;
  [[nodiscard]] Error out_of_memory(const char* operation, GpaRange range) const noexcept;
  [[nodiscard]] Result<GpaRange> fault_within(Gpa address, AccessKind access, FaultKind kind,
                                              std::optional<GpaRange> within);
  /// Calls `use` with the frame of a page while nobody can replace it; see FrameUse.
  [[nodiscard]] Status visit(Gpa address, FaultKind kind, SharedWrites shared,
                             const std::function<Status(std::optional<Frame>)>& use);
  [[nodiscard]] Status enter_ahead(const MapRequest& request);
  void detach(const Map::Entries& taken);
  [[nodiscard]] Status check_free(GpaRange range, const char* operation) const REQUIRES_SHARED(map_.lock());
  /// Changes an attribute of every entry of a range that is mapped throughout.
  [[nodiscard]] Status change(GpaRange range, const char* operation,
                              const std::function<void(Entry&)>& attribute);
  using Rights = std::vector<std::pair<GpaRange, Protection>>;
  /// protect() without the wiring; `before` gets what it was.
  [[nodiscard]] Status set_protection(GpaRange range, Protection protection, Rights& before);
  /// Wires what map() or protect() made, if the space is wired as a whole.
  [[nodiscard]] Status wire_new(GpaRange range);
  [[nodiscard]] Status check_extract(const ExtractRequest& request) const REQUIRES(map_.lock());
  [[nodiscard]] Status extract_locked(const ExtractRequest& request, Space& target, GpaRange at,
                                      SpaceFork& group);
  [[nodiscard]] Status check_fork() const REQUIRES(map_.lock());
  [[nodiscard]] Status check_fork_pins() const REQUIRES(map_.lock());
  [[nodiscard]] Status check_fork_of(const Entry& entry, const PinInfo& pin) const;
  [[nodiscard]] FaultContext fault_context(Patience patience = Patience::Sleep);
  [[nodiscard]] Status check_limit_allows(GpaRange range, const std::shared_ptr<Object>& object,
                                          Sharing sharing, Protection most) const;
  /// Where pages go out and come in, a slot can be busy.
  void give_amaps() REQUIRES(map_.lock());
  void count_resident() REQUIRES(map_.lock());
  [[nodiscard]] EntryInfo info(const Entry& entry) const;

  const std::string name_;
  Pmap& pmap_;
  const GpaRange limits_;
  // A late Pin finds them.
  const std::shared_ptr<WriteLog> written_ = std::make_shared<WriteLog>();
  const std::shared_ptr<PinTable> pins_ = std::make_shared<PinTable>(written_);
  Map map_;
  OpenRanges open_;  // where an Access is open
  FaultCounters counters_;
  mutable Mutex wired_lock_{LockRank::Leaf};
  std::shared_ptr<WireAll> wired_ GUARDED_BY(wired_lock_);  // null: not as a whole
  Reclaim reclaim_;
};

}  // namespace uvm
