#include "ept/loader.h"

#include <algorithm>
#include <new>

#include "ept/host/pagemap.h"

namespace ept {
namespace {

using Access = host::Window::Access;

/// Below this many bytes a private page that comes back into view is copied into the mapping that is there
/// (about a microsecond a page, no host mapping more); from it on the mapping itself is moved.
constexpr std::uint64_t kMoveFrom = uvm::kLargePageSize;

/// Whether it was done; with memory for the text of its error or without.
template <class F>
bool attempt(F&& change) noexcept {
  try {
    return static_cast<bool>(change());
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace

Shown shown_pages(const host::Backing& object, std::uint64_t first_page, Show show, Guard guard) {
  Shown shown;
  shown.show = show;
  shown.backing = &object;
  shown.serial = object.serial();
  shown.first_page = first_page;
  // A shared mapping of what cannot be written is no business of userfaultfd's.
  shown.watchable =
      object.kind() == host::BackingKind::Memory &&
      (show == Show::PrivateFile || uvm::includes(object.max_protection(), uvm::Protection::Write));
  shown.lasting = show == Show::SharedFile || object.tenure() == uvm::Tenure::Kept;
  shown.guard = guard;
  return shown;
}

Loader::Loader(host::Window window, host::Window stash, const host::WindowOptions& options)
    : window_(std::make_unique<host::Window>(std::move(window))),
      stash_window_(std::make_unique<host::Window>(std::move(stash))),
      options_(options) {
  runs_.assign(window_->covered(), Shown{});
}

uvm::Result<Loader> Loader::create(uvm::GpaRange covered, const host::WindowOptions& options, bool watch) {
  UVMM_TRY(auto window, host::Window::reserve(covered));
  UVMM_TRY(auto stash, host::Window::reserve(covered));
  Loader loader(std::move(window), std::move(stash), options);
  if (watch) {
    loader.start_watching();
  } else {
    loader.watch_reason_ = "events are turned off";
  }
  return loader;
}

void Loader::start_watching() {
  auto uffd = host::Uffd::open();
  if (!uffd) {
    watch_reason_ = uffd.error().text();
    return;
  }
  uffd_ = std::make_unique<host::Uffd>(std::move(*uffd));
  if (auto status = map_hole(window_->covered()); !status) {
    watch_reason_ = status.error().text();
    uffd_.reset();
    (void)window_->unmap(window_->covered());
  }
}

bool Loader::reserve() noexcept {
  // What leaves a run of the window is one run of the stash; and a range has two ends, at each of which a run
  // may have to be cut.
  constexpr std::size_t kEnds = 4;
  return runs_.reserve(kEnds) && stash_.reserve(runs_.size() + kEnds);
}

uvm::Status Loader::prepare(uvm::GpaRange range) {
  if (!reserve()) {
    return uvm::Error(uvm::ErrorKind::NoMemory,
                      "guest range " + uvm::to_string(range) + ": no memory to note its host mappings");
  }
  // One change cuts at most two runs in the window, and puts one into the stash.
  if (run_count() + 3 <= options_.max_runs) return uvm::ok();
  return uvm::Error(uvm::ErrorKind::NoMemory,
                    "guest range " + uvm::to_string(range) + ": the window is in " +
                        std::to_string(run_count()) + " pieces of the " + std::to_string(options_.max_runs) +
                        " host mappings it may use",
                    "enter longer runs, or raise WindowOptions::max_runs");
}

// ---- entering -------------------------------------------------------------------------------------------

uvm::Status Loader::show(uvm::GpaRange range, const Shown& what) {
  UVMM_CHECK(compose(range));
  for (const Run& piece : runs_.in(range)) {
    Shown to = what.advanced((piece.range.begin() - range.begin()) >> uvm::kPageShift);
    if (piece.value.settled && to.show != Show::SharedFile) to = piece.value.with(to.guard);
    if (piece.value == to) continue;
    UVMM_CHECK(prepare(piece.range));
    UVMM_CHECK(show_piece(piece, to));
  }
  return uvm::ok();
}

uvm::Status Loader::show_piece(const Run& piece, const Shown& to) {
  Shown from = piece.value;
  // A page that is not there is an event either way.
  if (from.guard == Guard::Present && from.same_memory(to)) from.guard = Guard::Armed;
  if (from.same_memory(to) && from.guard != Guard::Armed) {
    UVMM_CHECK(change_guard(piece.range, from, to.guard));
    runs_.assign(piece.range, to);
    return uvm::ok();
  }
  if (!from.same_memory(to) && from.shows_private() && any_private_in_view(piece.range)) {
    UVMM_CHECK(arm_piece(piece));
    from = shown_at(piece.range.begin()).with(Guard::Armed);
  }
  uvm::GpaRange rest = piece.range;
  // What lies between private pages is mapped or opened as a whole; they are put in their places without a
  // moment in which the pages behind them could be seen.
  const auto show_gap = [&](uvm::GpaRange gap) -> uvm::Status {
    if (gap.empty()) return uvm::ok();
    UVMM_CHECK(prepare(gap));
    const std::uint64_t skipped = (gap.begin() - piece.range.begin()) >> uvm::kPageShift;
    const Shown there = from.advanced(skipped);
    const Shown wanted = to.advanced(skipped);
    UVMM_CHECK(there.same_memory(wanted) ? change_guard(gap, there, to.guard) : map(gap, wanted));
    runs_.assign(gap, wanted);
    return uvm::ok();
  };
  if (to.show != Show::SharedFile) {
    for (const auto& [hidden, home] : homes(piece.range, from, to)) {
      UVMM_CHECK(show_gap(rest.before(hidden.begin())));
      const std::uint64_t skipped = (hidden.begin() - piece.range.begin()) >> uvm::kPageShift;
      UVMM_CHECK(bring_back(hidden, from.advanced(skipped), home));
      rest = rest.from(hidden.end());
    }
  }
  return show_gap(rest);
}

uvm::Status Loader::show_private(uvm::GpaRange range, Guard guard) {
  UVMM_CHECK(compose(range));
  for (const Run& piece : runs_.in(range)) {
    if (piece.value.guard == Guard::Present) {
      UVMM_CHECK(bring_all_back(piece.range));
      if (guard == Guard::Open) continue;
    }
    if (piece.value.shows_private()) {
      if (piece.value.guard == guard) continue;
      UVMM_CHECK(prepare(piece.range));
      // Every page is there, so its writes can be watched; change_guard() could not know that of a Zero run.
      UVMM_CHECK(guard == Guard::ReadOnly && watched(piece.value)
                     ? watch_writes(piece.range)
                     : change_guard(piece.range, piece.value, guard));
      runs_.assign(piece.range, piece.value.with(guard));
      continue;
    }
    const auto hidden = stashed(piece.range);
    if (hidden.size() != 1 || hidden.front() != piece.range) {
      return uvm::Error(uvm::ErrorKind::Invalid,
                        "guest range " + uvm::to_string(piece.range) + ": no private page there to enter");
    }
    UVMM_CHECK(prepare(piece.range));
    const bool is_shared = piece.value.show == Show::SharedFile;
    const Shown to = is_shared ? Shown{}.with(guard) : piece.value.with(guard);
    for (const auto& [part, home] : homes(piece.range, piece.value, to)) {
      const std::uint64_t skipped = (part.begin() - piece.range.begin()) >> uvm::kPageShift;
      UVMM_CHECK(bring_back(part, piece.value.advanced(skipped), home));
    }
  }
  return uvm::ok();
}

uvm::Status Loader::map(uvm::GpaRange range, const Shown& what) {
  const Access access = what.guard == Guard::Open ? Access::ReadWrite : Access::Read;
  switch (what.show) {
    case Show::Zero:
      UVMM_CHECK(window_->map_zero(range, access, options_.huge));
      break;
    case Show::PrivateFile:
      UVMM_CHECK(window_->map_private(range, *what.backing, what.first_page, access));
      break;
    case Show::SharedFile:
      UVMM_CHECK(window_->map_shared(range, *what.backing, what.first_page, access));
      if (what.guard == Guard::ReadOnly && watched(what) && uffd_->can_protect_shared()) {
        UVMM_CHECK(watch_writes(range));
        UVMM_CHECK(window_->set_access(range, Access::ReadWrite));
      }
      break;
  }
  wake(range);
  return uvm::ok();
}

uvm::Status Loader::map_hole(uvm::GpaRange range) {
  // The new mapping must not be usable before it is watched: a page that somebody touches in between is never
  // heard of. Until then an access is an error.
  if (uffd_ == nullptr) return window_->unmap(range);
  UVMM_CHECK(window_->map_zero(range, Access::None, options_.huge));
  UVMM_CHECK(uffd_->watch(hva(range), host::Watch::Absent));
  return window_->set_access(range, Access::ReadWrite);
}

// ---- guards in place ------------------------------------------------------------------------------------

uvm::Status Loader::watch_all(uvm::GpaRange range, const Shown& shown) {
  host::Watch what = shown.show == Show::Zero ? host::Watch::Absent : host::Watch::Unmapped;
  // Kept, so that the kernel knows to clean the marks of write-protection when pages move away.
  if (shown.guard == Guard::ReadOnly && (shown.show == Show::Zero || uffd_->can_protect_shared())) {
    what = what | host::Watch::Writes;
  }
  return uffd_->watch(hva(range), what);
}

uvm::Status Loader::watch_writes(uvm::GpaRange range) {
  UVMM_CHECK(uffd_->watch(hva(range), host::Watch::Writes));
  return uffd_->protect_writes(hva(range));
}

uvm::Status Loader::change_guard(uvm::GpaRange range, const Shown& from, Guard to) {
  if (to == Guard::ReadOnly) return make_read_only(range, from);
  if (!watched(from)) {
    if (from.guard == Guard::Armed) return map(range, from.with(to));
    return window_->set_access(range, Access::ReadWrite);
  }
  if (from.guard == Guard::ReadOnly) UVMM_CHECK(window_->set_access(range, Access::ReadWrite));
  return uffd_->unwatch(hva(range));
}

uvm::Status Loader::make_read_only(uvm::GpaRange range, const Shown& from) {
  // The kernel takes no mode away from a watched mapping, so files are mapped anew. Whoever sleeps on them is
  // woken at the end.
  const bool is_file = from.show == Show::SharedFile;
  if (from.guard == Guard::Armed && (is_file || !watched(from))) {
    return map(range, from.with(Guard::ReadOnly));
  }
  if (is_file && watched(from) && uffd_->can_protect_shared()) return watch_writes(range);
  // Writes to private pages that do not exist yet cannot be watched without marks that look like swapped
  // pages to a harvest.
  UVMM_CHECK(window_->set_access(range, Access::Read));
  if (watched(from) && from.guard == Guard::Armed) return uffd_->unwatch(hva(range));
  return uvm::ok();
}

// ---- leaving --------------------------------------------------------------------------------------------

void Loader::arm(uvm::GpaRange range) {
  for (const Run& piece : runs_.in(range)) {
    if (piece.value.guard == Guard::Armed) continue;
    if (!attempt([&] { return arm_piece(piece); })) close(piece);
  }
}

void Loader::close(const Run& piece) {
  (void)window_->set_access(piece.range, Access::None);
  runs_.assign(piece.range, piece.value.with(Guard::ReadOnly));
}

uvm::Status Loader::arm_piece(const Run& piece) {
  const auto& [range, shown] = piece;
  if (shown.guard == Guard::Present) return hide_present(range);
  if (shown.show != Show::SharedFile) return hide_private(piece);
  if (!watched(shown)) {
    UVMM_CHECK(map_hole(range));
    runs_.assign(range, Shown{});
    return uvm::ok();
  }
  UVMM_CHECK(watch_all(range, shown));
  UVMM_CHECK(window_->drop_pages(range));
  runs_.assign(range, shown.with(Guard::Armed));
  return uvm::ok();
}

uvm::Status Loader::hide_private(const Run& piece) {
  const auto& [range, shown] = piece;
  const bool watch = watched(shown);
  UVMM_CHECK(watch ? watch_all(range, shown) : window_->set_access(range, Access::None));
  // Any page that is there may become private by a write that is under way: all of them move, in one step.
  bool any = false;
  UVMM_CHECK(host::scan_pages(hva(range), [&](const host::PageRun&) { any = true; }));
  if (any) {
    // Pages in the stash that nobody knows of would be lost.
    if (!stash_.can_assign()) return uvm::Error(uvm::ErrorKind::NoMemory, "no memory to note the stash");
    UVMM_CHECK(window_->move_pages_to(*stash_window_, range));
    UVMM_CHECK(stash_window_->set_access(range, Access::ReadWrite));
    stash_.assign(range, shown.with(Guard::Open));
    if (!any_stashed(range)) {
      UVMM_CHECK(stash_window_->unmap(range));
      stash_.erase(range);
    }
  }
  if (!watch) {
    UVMM_CHECK(map_hole(range));
    runs_.assign(range, Shown{});
    return uvm::ok();
  }
  if (shown.guard == Guard::ReadOnly) UVMM_CHECK(window_->set_access(range, Access::ReadWrite));
  runs_.assign(range, shown.with(Guard::Armed));
  return uvm::ok();
}

uvm::GpaRange Loader::forbid_writes(uvm::GpaRange range) {
  for (const Run& piece : runs_.in(range)) {
    if (piece.value.guard != Guard::Open && piece.value.guard != Guard::Present) continue;
    if (watched(piece.value)) {
      arm(piece.range);
      return piece.range;
    }
    if (window_->set_access(piece.range, Access::Read)) {
      runs_.assign(piece.range, piece.value.with(Guard::ReadOnly));
    }
  }
  return {};
}

void Loader::discard(uvm::GpaRange range) {
  deferred_.forget(range);
  for (const Run& piece : runs_.in(range)) {
    if (piece.value.guard == Guard::Present) {
      discard_present(piece.range);
      continue;
    }
    if (!attempt([&] { return discard_piece(piece); })) close(piece);
    discard_stash(piece.range);
  }
  if (steady_.can_assign()) steady_.erase(range);
}

void Loader::discard_stash(uvm::GpaRange range) {
  for (const Run& piece : stash_.in(range)) (void)stash_window_->unmap(piece.range);
  stash_.erase(range);
}

uvm::Status Loader::discard_piece(const Run& piece) {
  const auto& [range, shown] = piece;
  if (shown.show == Show::Zero && shown.guard == Guard::Armed) {
    runs_.assign(range, Shown{});  // settled no longer
    return uvm::ok();
  }
  if (watched(shown) && shown.guard != Guard::Armed) UVMM_CHECK(watch_all(range, shown));
  if (shown.show == Show::Zero && watched(shown)) {
    UVMM_CHECK(window_->drop_pages(range));
    if (shown.guard == Guard::ReadOnly) UVMM_CHECK(window_->set_access(range, Access::ReadWrite));
  } else {
    // A mapping keeps its file's memory alive, and the caller may be done with the file.
    UVMM_CHECK(map_hole(range));
    wake(range);
  }
  runs_.assign(range, Shown{});
  return uvm::ok();
}

void Loader::drop_shared() {
  for (const Run& piece : runs_.in(window_->covered())) {
    if (piece.value.show != Show::SharedFile || piece.value.guard == Guard::Armed) continue;
    if (watched(piece.value)) {
      arm(piece.range);
    } else {
      // The host finds them in its page cache again; nobody has to be asked.
      (void)window_->drop_pages(piece.range);
    }
  }
}

// ---- private pages --------------------------------------------------------------------------------------

uvm::Status Loader::populate(uvm::Gpa page) {
  return window_->populate_write(uvm::GpaRange::page_of(page));
}

uvm::Status Loader::populate_zeros(uvm::GpaRange range) {
  for (const Run& run : runs_.in(range)) {
    if (run.value.makes_zeros()) UVMM_CHECK(window_->populate_write(run.range));
  }
  return uvm::ok();
}

uvm::Status Loader::stash_page(uvm::Gpa page, std::span<const std::byte> bytes) {
  const uvm::GpaRange range = uvm::GpaRange::page_of(page);
  UVMM_CHECK(compose(range));
  UVMM_CHECK(prepare(range));
  // What is left of a mapping of a file has nothing to do with this page, which would go when that is cut.
  const auto left = stash_.first_in(range);
  if (left && left->value.show != Show::Zero) discard_stash(range);
  UVMM_CHECK(open_stash(range));
  // Before the bytes, so that a host without memory is an error here and not a signal there.
  UVMM_CHECK(stash_window_->populate_write(range));
  return copy_private(stash_window_->bytes(range), bytes, range);
}

bool Loader::may_copy(uvm::GpaRange range) const {
  return range.size() < kMoveFrom && !steady_.first_in(range);
}

uvm::Status Loader::bring_back(uvm::GpaRange range, const Shown& from, const Shown& to) {
  UVMM_CHECK(prepare(range));
  if (from.guard == Guard::Armed && from.same_memory(to) && watched(to) && may_copy(range)) {
    UVMM_CHECK(uffd_->copy(hva(range), stash_window_->bytes(range).data(), host::Wake::No));
    (void)stash_window_->drop_pages(range);
    if (to.guard == Guard::ReadOnly) {
      UVMM_CHECK(watch_writes(range));
      wake(range);
    } else {
      UVMM_CHECK(uffd_->unwatch(hva(range)));
    }
    runs_.assign(range, to);
    return uvm::ok();
  }
  UVMM_CHECK(convert_stashed(range, to));
  if (to.guard == Guard::ReadOnly) UVMM_CHECK(stash_window_->set_access(range, Access::Read));
  UVMM_CHECK(stash_window_->move_pages_to(*window_, range));
  UVMM_CHECK(stash_window_->unmap(range));
  stash_.erase(range);
  if (to.guard == Guard::ReadOnly && watched(to)) {
    UVMM_CHECK(watch_writes(range));
    UVMM_CHECK(window_->set_access(range, Access::ReadWrite));
  }
  runs_.assign(range, to);
  wake(range);
  return uvm::ok();
}

std::vector<Loader::Run> Loader::homes(uvm::GpaRange range, const Shown& from, const Shown& to) const {
  std::vector<Run> found;
  for (const Run& kept : stash_.in(range)) {
    const Shown there = to.advanced((kept.range.begin() - range.begin()) >> uvm::kPageShift);
    // As a whole where the mapping itself is what is wanted: not page by page into one made for it.
    if (kept.value.show == Show::PrivateFile && !from.same_memory(to) && kept.value.same_memory(there)) {
      found.push_back({kept.range, there});
      continue;
    }
    for (const uvm::GpaRange hidden : stashed(kept.range)) {
      const bool joins = !found.empty() && !kept.value.settled && !found.back().value.settled &&
                         found.back().range.end() == hidden.begin();
      if (joins) {
        found.back().range = *uvm::GpaRange::from_bounds(found.back().range.begin(), hidden.end());
        continue;
      }
      const std::uint64_t skipped = (hidden.begin() - range.begin()) >> uvm::kPageShift;
      found.push_back({hidden, kept.value.settled ? kept.value.with(to.guard) : to.advanced(skipped)});
    }
  }
  return found;
}

Shown Loader::shown_at(uvm::Gpa page) const {
  const auto run = runs_.first_in(uvm::GpaRange::page_of(page));
  return run ? run->value : Shown{};
}

void Loader::refuse(uvm::Gpa page) {
  const uvm::GpaRange range = uvm::GpaRange::page_of(page);
  // Inaccessible before it is no longer watched: nobody may find zeros there in between.
  if (uffd_ == nullptr || !reserve() || !window_->set_access(range, Access::None)) return wake(range);
  runs_.assign(range, shown_at(page).with(Guard::ReadOnly));
  if (!uffd_->unwatch(hva(range))) wake(range);
}

void Loader::wake(uvm::GpaRange range) const {
  if (uffd_ != nullptr) uffd_->wake(hva(range));
}

std::uint64_t Loader::bytes() const {
  constexpr std::uint64_t kNode = 48 + sizeof(Run);  // a red-black node and its payload
  return (runs_.room() + stash_.room() + steady_.room()) * kNode + window_->metadata_bytes() +
         deferred_.bytes();
}

}  // namespace ept
