// Makes the window show what the tables say.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ept/deferred_pages.h"
#include "ept/host/backing.h"
#include "ept/host/uffd.h"
#include "ept/host/window.h"
#include "ept/run_map.h"
#include "uvm/base/error.h"
#include "uvm/base/range.h"
#include "uvm/pmap.h"

namespace ept {

/// What one piece of the window maps.
enum class Show : std::uint8_t {
  Zero,         // anonymous memory
  PrivateFile,  // pages of a file, copied on the first write
  SharedFile,   // pages of a file
};

/// How far an access gets.
enum class Guard : std::uint8_t {
  Open,      // reads and writes go through
  Present,   // Show::Zero only: the same where a page is there, and an event where none is; private pages may
             // be out of view besides
  ReadOnly,  // writes are events (or errors, where they cannot be watched)
  Armed,     // every access is an event (or an error)
};

/// What a run of the window shows. The backing may be gone when the run is Armed, so it is only looked into
/// while it is being mapped; `serial` tells whether it is still the same.
struct Shown {
  Show show = Show::Zero;
  const host::Backing* backing = nullptr;
  std::uint64_t serial = 0;
  std::uint64_t first_page = 0;  // of the backing
  bool watchable = true;         // userfaultfd can watch this kind of memory
  bool lasting = true;           // nobody outside can take its pages away (uvm::Tenure)
  /// Zero only: every page of the run is private and came out of a mapping of a file. What the file would
  /// show there is not behind it, so the run is not replaced by such a mapping again.
  bool settled = false;
  Guard guard = Guard::Armed;

  [[nodiscard]] Shown advanced(std::uint64_t pages) const {
    Shown next = *this;
    if (show != Show::Zero) next.first_page += pages;
    return next;
  }
  [[nodiscard]] Shown with(Guard other) const {
    Shown next = *this;
    next.guard = other;
    return next;
  }
  /// Whether private pages are in view, where there are some.
  [[nodiscard]] bool shows_private() const { return show != Show::SharedFile && guard != Guard::Armed; }
  /// Whether the host makes a page of zeros where there is none and somebody writes.
  [[nodiscard]] bool makes_zeros() const { return show == Show::Zero && guard == Guard::Open; }
  [[nodiscard]] bool same_memory(const Shown& other) const {
    return with(Guard::Open) == other.with(Guard::Open);
  }
  friend bool operator==(const Shown&, const Shown&) = default;
};

/// How the window shows pages of an object. `show` is no Zero.
[[nodiscard]] Shown shown_pages(const host::Backing& object, std::uint64_t first_page, Show show,
                                Guard guard);

/// Copies bytes of private pages, which are of `range`: those in a mapping of a file go when the file is cut.
/// Errors: PagerIo.
[[nodiscard]] uvm::Status copy_private(std::span<std::byte> to, std::span<const std::byte> from,
                                       uvm::GpaRange range);

/// A mark of a range in a RunMap.
struct Steady {
  [[nodiscard]] Steady advanced(std::uint64_t /*pages*/) const { return {}; }
  friend bool operator==(const Steady&, const Steady&) = default;
};

/// Pages of an object, from `first_page` of its file on.
using FoundObjectPages =
    std::function<void(const host::Backing& object, std::uint64_t first_page, std::uint64_t pages)>;

/// The window of one space, the userfaultfd that watches it, and the stash: a second area of the same size
/// where private pages wait that the window does not show (their translation was removed, or other frames
/// were entered over them). Not thread-safe; the pmap's lock covers it.
///
/// Where memory can be watched, pages leave the window without a moment in which a vCPU could see an error or
/// write to a page that is being left: the mapping is watched in place first, then its pages go.
class Loader {
 public:
  /// `watch` false: no userfaultfd. Errors: NoMemory (address space for window and stash).
  static uvm::Result<Loader> create(uvm::GpaRange covered, const host::WindowOptions& options, bool watch);

  [[nodiscard]] const host::Window& window() const { return *window_; }
  /// Null when accesses are not watched; the reason is in watch_reason().
  [[nodiscard]] const host::Uffd* uffd() const { return uffd_.get(); }
  [[nodiscard]] const std::string& watch_reason() const { return watch_reason_; }

  /// Memory for what takes pages out of view, free_private() included: with it that needs no other. Without,
  /// it needs none for ranges that begin and end where runs do, which all of covered() does. False: there is
  /// none.
  [[nodiscard]] bool reserve() noexcept;
  /// The same, before anything is changed in the range, and host mappings for the change. Errors: NoMemory.
  [[nodiscard]] uvm::Status prepare(uvm::GpaRange range);

  /// The range shows `what` with guard Open or ReadOnly. Private pages of the range come into view with Zero
  /// and PrivateFile, and are kept out of view with SharedFile. Idempotent. Errors: NoMemory (memory, or the
  /// budget of host mappings), Permission (a file that was opened read-only).
  [[nodiscard]] uvm::Status show(uvm::GpaRange range, const Shown& what);
  /// The range shows its private pages. Errors: NoMemory, Invalid (there is none).
  [[nodiscard]] uvm::Status show_private(uvm::GpaRange range, Guard guard);
  /// Private pages of the range come into view, and an access to any other page is an event. What the
  /// range showed before is gone, its private pages excepted. Errors: NoMemory, Unsupported (accesses cannot
  /// be watched here).
  [[nodiscard]] uvm::Status show_present(uvm::GpaRange range);
  /// Every access becomes an event; private pages are kept out of view.
  void arm(uvm::GpaRange range);
  /// Writes become events (or errors, where they cannot be watched), up to the first part of which all
  /// accesses became events, which is told: it is cheaper to forget a mapping than to write-protect it, which
  /// would split huge pages. Empty: all is done.
  [[nodiscard]] uvm::GpaRange forbid_writes(uvm::GpaRange range);
  /// Like arm, private pages are freed, and nothing of the backings is held any more.
  void discard(uvm::GpaRange range);
  /// Frees private pages where they are and leaves what else is shown, which is `shows`, up to the first part
  /// of which they would have to leave the view first, which is told and is as before. Empty: all is done.
  [[nodiscard]] uvm::GpaRange empty(uvm::GpaRange range, Show shows);
  /// Moves private pages out of mappings of files that others can cut. To bound the host mappings it takes,
  /// their neighbours in 64 KiB become private with them where that is possible. From now on the private
  /// pages of the range are the same physical ones, in view or not, as long as they are not freed: a device
  /// may have their addresses. Errors: NoMemory, PagerIo.
  [[nodiscard]] uvm::Status settle(uvm::GpaRange range);
  /// Frees private pages of the range and leaves the rest as it is; settled ones must be out of view.
  void free_private(uvm::GpaRange range);
  /// Shared mappings become events, everything else stays (property P0).
  void drop_shared();

  /// See Pmap::each_private and Pmap::rewrite_private.
  [[nodiscard]] uvm::Status each_private(
      uvm::GpaRange range,
      const std::function<uvm::Status(uvm::GpaRange run, std::span<const std::byte> bytes)>& visit) const;
  [[nodiscard]] uvm::Status rewrite_private(
      uvm::GpaRange range,
      const std::function<uvm::Status(uvm::GpaRange run, std::span<std::byte> bytes)>& write);

  /// Private pages that are made when something of their range is entered, or their bytes are needed to be
  /// written. Nothing of the range is entered, nor private.
  void defer(DeferredPages pages);
  /// Makes the deferred pages of all that overlaps the range, out of view. Errors: NoMemory, PagerIo.
  [[nodiscard]] uvm::Status compose(uvm::GpaRange range);
  /// The part of `run` around `page` that can be entered without making more deferred pages than `page`
  /// needs.
  [[nodiscard]] uvm::GpaRange apart_from_deferred(uvm::Gpa page, uvm::GpaRange run) const {
    return deferred_.empty() ? run : deferred_.around(page, run);
  }

  /// Makes the page private where it is. Only for pages that show Zero or PrivateFile, Open. Errors:
  /// NoMemory, PagerIo.
  [[nodiscard]] uvm::Status populate(uvm::Gpa page);
  /// Makes the zeros of a range that the host may make by itself; everything else stays. Errors: NoMemory.
  [[nodiscard]] uvm::Status populate_zeros(uvm::GpaRange range);
  /// A private page with these bytes, out of view. The page must be armed and not private. Errors: NoMemory.
  [[nodiscard]] uvm::Status stash_page(uvm::Gpa page, std::span<const std::byte> bytes);

  /// Private pages with these bytes (as many as the range has; empty: zeros), in view, each as a whole. Only
  /// where the range is Present and nothing is private. All or nothing. Errors: NoMemory.
  [[nodiscard]] uvm::Status fill_present(uvm::GpaRange range, std::span<const std::byte> bytes);

  /// Whether a guest's write anywhere in the range is no event; it must be covered.
  [[nodiscard]] bool is_open(uvm::GpaRange range) const;
  /// `page` must be covered.
  [[nodiscard]] Shown shown_at(uvm::Gpa page) const;
  /// Runs of private pages, in view or not, ascending, maximal.
  [[nodiscard]] std::vector<uvm::GpaRange> private_runs(uvm::GpaRange range) const;
  /// Those of some ranges, ascending and apart: with what lies between them, or without.
  [[nodiscard]] std::vector<uvm::GpaRange> private_runs(std::span<const uvm::GpaRange> ranges) const;
  [[nodiscard]] bool is_private(uvm::Gpa page) const;
  /// Whole pages from `page` on. Errors: NoMapping.
  [[nodiscard]] uvm::Status read_private(uvm::Gpa page, std::span<std::byte> to) const;
  /// Writes bytes of a private page, from `at` on and inside the page, unless the window shows it without the
  /// right to write. Errors: NoMapping, NoMemory (it could not leave the window).
  [[nodiscard]] uvm::Status write_private(uvm::Gpa at, std::span<const std::byte> from);
  [[nodiscard]] uvm::Residency residency(uvm::GpaRange range) const;
  void each_object_run(uvm::GpaRange range, const std::function<void(uvm::GpaRange)>& found) const;
  /// See Pmap::resident.
  [[nodiscard]] uvm::Result<std::uint64_t> resident(const FoundObjectPages& found) const;

  void wake(uvm::GpaRange range) const;
  /// Accesses to the page, those that sleep on an event included, are errors (EFAULT, SIGSEGV) and no events,
  /// until it is entered. Without memory it only wakes.
  void refuse(uvm::Gpa page);
  [[nodiscard]] std::uint64_t run_count() const { return runs_.size() + stash_.size(); }
  [[nodiscard]] std::uint64_t bytes() const;

 private:
  Loader(host::Window window, host::Window stash, const host::WindowOptions& options);

  using Run = RunMap<Shown>::Run;
  [[nodiscard]] bool watched(const Shown& shown) const { return uffd_ != nullptr && shown.watchable; }
  [[nodiscard]] uvm::HvaRange hva(uvm::GpaRange range) const { return window_->hva(range); }
  void start_watching();

  [[nodiscard]] uvm::Status show_piece(const Run& piece, const Shown& to);
  [[nodiscard]] uvm::Status map(uvm::GpaRange range, const Shown& what);
  [[nodiscard]] uvm::Status map_hole(uvm::GpaRange range);
  [[nodiscard]] uvm::Status change_guard(uvm::GpaRange range, const Shown& from, Guard to);
  [[nodiscard]] uvm::Status make_read_only(uvm::GpaRange range, const Shown& from);
  [[nodiscard]] uvm::Status watch_all(uvm::GpaRange range, const Shown& shown);
  [[nodiscard]] uvm::Status watch_writes(uvm::GpaRange range);
  [[nodiscard]] uvm::Status arm_piece(const Run& piece);
  /// For want of host mappings, or of memory: accesses are errors instead of events, but no page is lost, and
  /// entering the same memory again opens it again.
  void close(const Run& piece);
  [[nodiscard]] uvm::Status hide_private(const Run& piece);
  [[nodiscard]] uvm::Status discard_piece(const Run& piece);
  void discard_stash(uvm::GpaRange range);

  [[nodiscard]] uvm::Status compose_stash(const DeferredPages& pages);
  [[nodiscard]] uvm::Status make_present(const Run& piece);
  [[nodiscard]] uvm::Status bring_all_back(uvm::GpaRange range);
  [[nodiscard]] uvm::Status hide_present(uvm::GpaRange range);
  [[nodiscard]] uvm::Status hide_part(uvm::GpaRange part, std::span<const uvm::GpaRange> private_runs);
  [[nodiscard]] uvm::Status open_stash(uvm::GpaRange range);
  void discard_present(uvm::GpaRange range);

  [[nodiscard]] uvm::Status bring_back(uvm::GpaRange range, const Shown& from, const Shown& to);
  /// Where the private pages out of view go that come into view in a range that shows `from` and is to show
  /// `to`.
  [[nodiscard]] std::vector<Run> homes(uvm::GpaRange range, const Shown& from, const Shown& to) const;
  [[nodiscard]] uvm::Status convert_stashed(uvm::GpaRange range, const Shown& to);
  /// Of a piece all of whose pages are private and in view, which they stay.
  [[nodiscard]] uvm::Status settle_in_view(const Run& piece);
  [[nodiscard]] std::vector<uvm::GpaRange> private_in_view(uvm::GpaRange range) const;
  /// Of a run that is private and in view: what devices pin is looked at again and again.
  void note_steady(uvm::GpaRange run) const;
  [[nodiscard]] std::vector<uvm::GpaRange> stashed(uvm::GpaRange range) const;
  /// Private runs that are made, in view or not, ascending, and the window where each is.
  struct Held {
    uvm::GpaRange run;
    const host::Window* holder;
  };
  [[nodiscard]] std::vector<Held> held(uvm::GpaRange range) const;
  [[nodiscard]] bool any_private_in_view(uvm::GpaRange range) const;
  [[nodiscard]] bool any_stashed(uvm::GpaRange range) const;
  /// Whether what comes back into view may be a copy of what went.
  [[nodiscard]] bool may_copy(uvm::GpaRange range) const;

  // On the heap: the event source keeps a reference to the userfaultfd while the loader is moved into place.
  std::unique_ptr<host::Window> window_;
  std::unique_ptr<host::Window> stash_window_;
  // Pages on their way to the stash; empty between calls. Made with the first Present range.
  std::unique_ptr<host::Window> scratch_;
  std::unique_ptr<host::Uffd> uffd_;
  std::string watch_reason_;
  host::WindowOptions options_;
  RunMap<Shown> runs_;  // all of covered()
  // What of the stash is mapped, as what. Pages of it that are private are the ones kept out of view: the
  // window is Armed or SharedFile wherever there is one, or Present without a page there.
  RunMap<Shown> stash_;
  DeferredSet deferred_;  // neither in the window nor in the stash
  // Was settled: pages that come back into view are moved there, never copied. Nobody says when a device lets
  // go of them, so it stays noted until they are discarded; it costs host mappings only where single pages
  // are hidden and shown again.
  RunMap<Steady> steady_;
};

}  // namespace ept
