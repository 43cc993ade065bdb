// The pmap contract: what the VM system asks of the machine-dependent layer (pmap(9), reduced to what a
// second-stage address space needs).
//
// A Pmap holds the translations of one space, GPA to Frame. It is a cache: drop_all() at any moment loses
// nothing, faults bring everything back (property P0). What it must never lose are private frames: a page
// that a promotion made, on request (promote) or by the host itself (see Fill), is data, and lives until
// release() or discard().
//
// The host resolves the common cases alone. A mapping says how far it may go (Fill): a CopyOnWrite range lets
// the host break copy-on-write when the guest writes, a Zero range lets it fill zeros, and uvm learns of such
// pages only when it asks (harvest). So the common path of a guest's fault costs uvm nothing.
//
// Private frames are in place: the frame a promotion makes for page G of this pmap is usable only at G of
// this pmap, unless Placement::Shareable was asked for. Entering a CopyOnWrite or Zero mapping over pages
// that are private already leaves those alone.
//
// Locking: callers may hold the map, amap and object locks. Implementations take locks of rank Pmap and inner
// ones only. update() and drop_all() wait for vCPUs and are called without any lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "uvm/base/error.h"
#include "uvm/base/range.h"
#include "uvm/frame.h"
#include "uvm/protection.h"

namespace uvm {

/// What the host may do by itself inside a mapping.
enum class Fill : std::uint8_t {
  Exact,        // nothing: these frames, these rights; anything else is an event for uvm::Space::fault
  CopyOnWrite,  // reads see the frames, the first write to a page gets a private copy (needs Write in the
                // rights)
  Zero,         // there are no frames: the first access to a page gets private zeros
  Present,      // there are no frames but the private ones in place: an access to a page that has none is an
                // event
};

/// One run of translations. `first` names the frame of the first page and is empty exactly when fill is
/// Zero or Present.
struct Mapping {
  GpaRange range;  // page-aligned, not empty
  std::optional<Frame> first;
  Fill fill = Fill::Exact;
  Protection rights = Protection::None;
};

/// Where the frame of a promotion has to be usable.
enum class Placement : std::uint8_t {
  InPlace,    // at this GPA of this pmap only: the cheap way
  Shareable,  // in every pmap of this process: needed when the amap is shared between spaces
};

struct Promotion {
  Gpa page;                     // page-aligned
  std::optional<Frame> source;  // copied; empty: zeros
  Placement placement = Placement::InPlace;
  /// The bytes of the page, kPageSize of them, when there is no source to copy; empty: see source.
  std::span<const std::byte> content{};
};

/// What one look at the tables finds.
struct Translation {
  std::optional<Frame> frame;  // empty in a Zero mapping that nobody touched; a page that is absent from a
                               // Present mapping has no translation at all
  Fill fill = Fill::Exact;
  Protection rights = Protection::None;
  std::uint64_t leaf_size = kPageSize;  // bytes: 4 KiB, 2 MiB or 1 GiB
};

/// Bytes of a range that are backed right now, for listings; measured at the host, not kept.
struct Residency {
  std::uint64_t resident = 0;  // bytes present in this space's mapping
  std::uint64_t priv = 0;      // of these: private (promoted) pages
  std::uint64_t shared = 0;    // of these: frames of an object
  std::uint64_t huge = 0;      // of these: mapped by the host with pages of 2 MiB or more
};

class Pmap {
 public:
  Pmap() = default;
  Pmap(const Pmap&) = delete;
  Pmap& operator=(const Pmap&) = delete;
  virtual ~Pmap() = default;

  /// Makes the range translate as `mapping` says, whatever it translated to before; private frames in the
  /// range stay (see above) and are not hidden by a CopyOnWrite or Zero mapping, but an Exact mapping hides
  /// them. Errors: NoMemory (host mappings or tables exhausted). After an error the range holds old or no
  /// translations.
  [[nodiscard]] virtual Status enter(const Mapping& mapping) = 0;

  /// No translation in the range any more; the next access is an event. Private frames stay.
  virtual void remove(GpaRange range) = 0;
  /// Like remove, and the private frames of the range that were made in place are freed.
  virtual void discard(GpaRange range) = 0;
  /// Frees the private frames of the range that were made in place. Where the host makes pages by itself
  /// (CopyOnWrite, Zero) or an absent page is an event (Present), translations may stay, and show what is
  /// there without such frames; those that named one go. No vCPU uses one afterwards.
  virtual void free_private(GpaRange range) = 0;
  /// Takes away rights that `most` does not have; never adds any. Rights without Read remove.
  virtual void protect(GpaRange range, Protection most) = 0;

  /// A private frame for one page, holding a copy of the source or zeros. In this order (rule D6): the page's
  /// translation goes, no vCPU can use it any more, bytes are copied. The caller records the frame and then
  /// enters it: between the two the page has no translation, except that an InPlace promotion inside a
  /// CopyOnWrite or Zero mapping may leave it readable and writable at once, which is what the mapping
  /// promised anyway. Promoting a page that the host promoted in the meantime returns that page and copies
  /// nothing. Errors: NoMemory, PagerIo (the source vanished).
  [[nodiscard]] virtual Result<Frame> promote(const Promotion& promotion) = 0;
  /// The last reference to a frame that promote() or harvest() gave is gone.
  virtual void release(Frame frame) = 0;

  /// Calls `found` for every run of private in-place frames in the range, ascending; includes those promote()
  /// made.
  virtual void harvest(GpaRange range, const std::function<void(GpaRange, Frame)>& found) = 0;
  /// The same for several ranges that are near each other, ascending and apart: runs that hold all such
  /// frames of them, and may hold others that lie between. A pmap that remembers what it saw may look at
  /// less.
  virtual void harvest_each(std::span<const GpaRange> ranges,
                            const std::function<void(GpaRange, Frame)>& found) {
    harvest(*GpaRange::from_bounds(ranges.front().begin(), ranges.back().end()), found);
  }
  /// The same for one page, at the price of one look.
  [[nodiscard]] virtual std::optional<Frame> harvest_page(Gpa page) = 0;

  [[nodiscard]] virtual std::optional<Translation> extract(Gpa address) const = 0;

  /// The part of `run` around `page` that is worth entering with `rights` together: it ends before a page
  /// that translates with them already, looked for at doubling distances. At least the page, which is in run.
  [[nodiscard]] virtual GpaRange unserved(Gpa page, GpaRange run, Protection rights) const = 0;

  /// The caller's own view of guest memory: host bytes of `range`, which must lie in pages whose translation
  /// the caller has just resolved for the access it wants. Valid until the range is removed, discarded or
  /// entered anew.
  [[nodiscard]] virtual std::span<std::byte> bytes(GpaRange range) = 0;
  /// The same, copied: bytes of a range inside one page, which the caller has just resolved. What bytes()
  /// would let the processor find out the hard way is an error here. Errors: PagerIo, EndOfObject (somebody
  /// took the page away: a file was cut under its mapping), Busy (the translation went meanwhile: resolve it
  /// again). Copies through the translation: what is written after an update() that took it away does not
  /// arrive.
  [[nodiscard]] virtual Status copy_out(GpaRange from, std::span<std::byte> to) = 0;
  [[nodiscard]] virtual Status copy_in(GpaRange to, std::span<const std::byte> from) = 0;

  /// Private in-place frames of the ranges that others could take away, because they lie in a mapping of what
  /// can be cut, come to lie where nobody can, and stay there. For pins, before they are handed out; in one
  /// call for a list, whose ranges are many and small. Errors: NoMemory, PagerIo (one is gone already).
  [[nodiscard]] virtual Status settle(std::span<const GpaRange> ranges) = 0;

  /// Makes private pages in place with these bytes (as many as the range has; empty: zeros). None is private
  /// yet. Where the range is entered as Present they are usable at once, each as a whole; elsewhere they have
  /// no translation. All or nothing. Zeros of a range that begins in a writable Zero mapping are different:
  /// the host makes at once what it may make by itself; all else, private pages too, stays. Errors: NoMemory.
  [[nodiscard]] virtual Status fill(GpaRange range, std::span<const std::byte> bytes) = 0;

  /// Copies the bytes of `to.size() / kPageSize` consecutive private frames, in place (with a translation or
  /// without) or shareable, out of this pmap. The caller has seen to it that nobody writes them. Errors:
  /// NoMapping (one of them is no longer private).
  [[nodiscard]] virtual Status read(Frame first, std::span<std::byte> to) const = 0;

  /// Reads bytes of one frame, which starts `offset` bytes into the page and stays in it, whatever the
  /// translations say: for debuggers. Errors: PagerIo (the page went away), Unsupported.
  [[nodiscard]] virtual Status read_frame(Frame frame, std::uint64_t offset, std::span<std::byte> to) = 0;
  /// The same for writing, of private frames and of those of an object that can be written. A translation
  /// that shows the frame without the right to write may go for it; it never gains the right. Errors:
  /// Protection (an object that is never written), NoMemory, Unsupported.
  [[nodiscard]] virtual Status write_frame(Frame frame, std::uint64_t offset,
                                           std::span<const std::byte> from) = 0;
  /// Like discard() of one page, if it is private in place and holds exactly these bytes when no vCPU can
  /// write it any more. Its translation may be gone either way. Whether it was freed.
  [[nodiscard]] virtual bool discard_equal(Gpa page, std::span<const std::byte> bytes) = 0;

  /// When it returns no vCPU or thread of this process can use a translation that was removed or lowered
  /// before.
  virtual void update() = 0;
  /// Forgets every translation at once, while vCPUs run (property P0); private frames stay.
  virtual void drop_all() = 0;

  [[nodiscard]] virtual Residency residency(GpaRange range) const = 0;
  /// Calls `found` for every run of pages of objects (no private ones, wherever their frames are) that
  /// residency() counts, ascending.
  virtual void each_object_run(GpaRange range, const std::function<void(GpaRange)>& found) const = 0;
  /// Host memory spent on tables, bytes.
  [[nodiscard]] virtual std::uint64_t metadata_bytes() const = 0;
};

}  // namespace uvm
