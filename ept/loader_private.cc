// Which pages of a window and its stash are private, and their bytes.
#include <algorithm>

#include "ept/host/arena.h"
#include "ept/host/guarded_copy.h"
#include "ept/host/pagemap.h"
#include "ept/loader.h"
#include "uvm/base/runs.h"

namespace ept {
namespace {

host::MappingOf mapping_of(const Shown& shown) {
  return shown.show == Show::Zero ? host::MappingOf::Anonymous : host::MappingOf::File;
}

/// The private pages of a piece of `window`.
template <class F>
void each_private_run(const host::Window& window, const RunMap<Shown>::Run& piece, F&& visit) {
  host::each_private_run(window, piece.range, mapping_of(piece.value), visit);
}

void scan_private(const host::Window& window, const RunMap<Shown>::Run& piece,
                  std::vector<uvm::GpaRange>& runs) {
  each_private_run(window, piece, [&](uvm::GpaRange run) { append_run(runs, run); });
}

bool any_private(const host::Window& window, const RunMap<Shown>::Run& piece) {
  bool any = false;
  each_private_run(window, piece, [&](uvm::GpaRange) { any = true; });
  return any;
}

void drop_private(host::Window& window, const RunMap<Shown>::Run& piece) {
  each_private_run(window, piece, [&](uvm::GpaRange run) { (void)window.drop_pages(run); });
}

}  // namespace

uvm::Status copy_private(std::span<std::byte> to, std::span<const std::byte> from, uvm::GpaRange range) {
  if (host::guarded_copy(to, from) == host::Touched::Yes) return uvm::ok();
  return uvm::Error(uvm::ErrorKind::PagerIo,
                    "private pages of " + uvm::to_string(range) + " went with the end of their file");
}

void Loader::free_private(uvm::GpaRange range) {
  deferred_.forget(range);
  for (const Run& piece : runs_.in(range)) {
    if (piece.value.shows_private()) drop_private(*window_, piece);
  }
  for (const Run& piece : stash_.in(range)) drop_private(*stash_window_, piece);
  for (const Run& piece : runs_.in(range)) {
    // All of the run, which needs no memory: the stash remembers what else in it was settled.
    if (piece.value.settled && piece.value.guard == Guard::Armed) {
      runs_.assign(runs_.around(piece.range.begin()), Shown{});
    }
  }
}

uvm::GpaRange Loader::empty(uvm::GpaRange range, Show shows) {
  deferred_.forget(range);
  const bool can_cut = reserve();
  for (const Run& piece : runs_.in(range)) {
    const Shown& shown = piece.value;
    if (shown.guard == Guard::Present) {
      discard_present(piece.range);
      continue;
    }
    // Behind a settled page is no page of the file that could come into view.
    if (shown.guard != Guard::Open || shown.show != shows || shown.settled) return piece.range;
    if (shown.makes_zeros()) {
      (void)window_->drop_pages(piece.range);
    } else {
      drop_private(*window_, piece);
    }
    if (can_cut) {
      discard_stash(piece.range);
    } else {
      for (const Run& kept : stash_.in(piece.range)) drop_private(*stash_window_, kept);
    }
  }
  if (steady_.can_assign()) steady_.erase(range);
  return {};
}

std::vector<uvm::GpaRange> Loader::private_in_view(uvm::GpaRange range) const {
  std::vector<uvm::GpaRange> runs;
  for (const Run& piece : runs_.in(range)) {
    if (piece.value.shows_private()) scan_private(*window_, piece, runs);
  }
  return runs;
}

std::vector<uvm::GpaRange> Loader::stashed(uvm::GpaRange range) const {
  std::vector<uvm::GpaRange> runs;
  for (const Run& piece : stash_.in(range)) scan_private(*stash_window_, piece, runs);
  return runs;
}

std::vector<uvm::GpaRange> Loader::private_runs(uvm::GpaRange range) const {
  if (window_->knows_private(range)) return {range};
  auto all = private_in_view(range);
  for (const uvm::GpaRange run : all) note_steady(run);
  const auto hidden = stashed(range);
  const auto deferred = deferred_.runs(range);
  if (hidden.empty() && deferred.empty()) return all;
  all.insert(all.end(), hidden.begin(), hidden.end());
  all.insert(all.end(), deferred.begin(), deferred.end());
  std::sort(all.begin(), all.end());
  std::vector<uvm::GpaRange> runs;
  for (const uvm::GpaRange run : all) append_run(runs, run);
  return runs;
}

std::vector<uvm::GpaRange> Loader::private_runs(std::span<const uvm::GpaRange> ranges) const {
  std::vector<uvm::GpaRange> runs;
  runs.reserve(ranges.size());
  for (const uvm::GpaRange range : ranges) {
    if (!window_->knows_private(range)) {
      // One look at all is cheaper than one at each.
      return private_runs(*uvm::GpaRange::from_bounds(ranges.front().begin(), ranges.back().end()));
    }
    append_run(runs, range);
  }
  return runs;
}

void Loader::note_steady(uvm::GpaRange run) const {
  for (const RunMap<Steady>::Run& steady : steady_.in(run)) {
    // What a file shows goes with the end of the file, and nobody says so.
    for (const Run& piece : runs_.in(steady.range)) {
      if (piece.value.show == Show::Zero) window_->note_private(piece.range);
    }
  }
}

bool Loader::is_private(uvm::Gpa page) const {
  const uvm::GpaRange range = uvm::GpaRange::page_of(page);
  if (window_->knows_private(range)) return true;
  return any_private_in_view(range) || any_stashed(range) || deferred_.contains(page.page_down());
}

bool Loader::any_private_in_view(uvm::GpaRange range) const {
  for (const Run& piece : runs_.in(range)) {
    if (piece.value.shows_private() && any_private(*window_, piece)) return true;
  }
  return false;
}

bool Loader::any_stashed(uvm::GpaRange range) const {
  for (const Run& piece : stash_.in(range)) {
    if (any_private(*stash_window_, piece)) return true;
  }
  return false;
}

uvm::Status Loader::read_private(uvm::Gpa page, std::span<std::byte> to) const {
  const auto range = uvm::GpaRange::from_size(page, to.size());
  std::uint64_t read = 0;
  const auto copy_from = [&](const host::Window& holder,
                             const std::vector<uvm::GpaRange>& runs) -> uvm::Status {
    for (const uvm::GpaRange run : runs) {
      UVMM_CHECK(copy_private(to.subspan(run.begin() - page, run.size()), holder.bytes(run), run));
      read += run.size();
    }
    return uvm::ok();
  };
  if (range && window_->covered().contains(*range)) {
    UVMM_CHECK(copy_from(*window_, private_in_view(*range)));
    if (read < to.size()) UVMM_CHECK(copy_from(*stash_window_, stashed(*range)));
    for (const uvm::GpaRange run : deferred_.runs(read < to.size() ? *range : uvm::GpaRange())) {
      for (uvm::Gpa at = run.begin(); at < run.end(); at = at + uvm::kPageSize) {
        UVMM_CHECK(copy_private(to.subspan(at - page, uvm::kPageSize), *deferred_.bytes_of(at), run));
      }
      read += run.size();
    }
  }
  if (read == to.size()) return uvm::ok();
  return uvm::Error(uvm::ErrorKind::NoMapping, "guest page " + uvm::to_string(page) + " of " +
                                                   std::to_string(to.size() >> uvm::kPageShift) +
                                                   " is not private");
}

uvm::Status Loader::write_private(uvm::Gpa at, std::span<const std::byte> from) {
  const uvm::GpaRange page = uvm::GpaRange::page_of(at);
  UVMM_CHECK(compose(page));
  const host::Window* holder = nullptr;
  if (any_stashed(page)) {
    holder = stash_window_.get();
  } else if (!any_private_in_view(page)) {
    return uvm::Error(uvm::ErrorKind::NoMapping, "guest page " + uvm::to_string(at) + " is not private");
  } else if (const Guard guard = shown_at(page.begin()).guard;
             guard == Guard::Open || guard == Guard::Present) {
    holder = window_.get();
  } else {
    return uvm::Error(uvm::ErrorKind::NoMemory,
                      "guest page " + uvm::to_string(at) + ": no host mapping left to write it through");
  }
  return copy_private(holder->bytes(page).subspan(at.offset_in_page(), from.size()), from, page);
}

std::vector<Loader::Held> Loader::held(uvm::GpaRange range) const {
  std::vector<Held> all;
  for (const uvm::GpaRange run : private_in_view(range)) all.push_back({run, window_.get()});
  const auto hidden = stashed(range);
  for (const uvm::GpaRange run : hidden) all.push_back({run, stash_window_.get()});
  if (!hidden.empty()) std::ranges::sort(all, {}, &Held::run);
  return all;
}

uvm::Status Loader::each_private(
    uvm::GpaRange range,
    const std::function<uvm::Status(uvm::GpaRange run, std::span<const std::byte> bytes)>& visit) const {
  const auto visit_deferred = [&](uvm::GpaRange gap) -> uvm::Status {
    if (deferred_.empty()) return uvm::ok();
    for (const uvm::GpaRange run : deferred_.runs(gap)) {
      for (uvm::Gpa at = run.begin(); at < run.end(); at = at + uvm::kPageSize) {
        UVMM_CHECK(visit(uvm::GpaRange::page_of(at), *deferred_.bytes_of(at)));
      }
    }
    return uvm::ok();
  };
  uvm::GpaRange rest = range;
  for (const auto& [run, holder] : held(range)) {
    UVMM_CHECK(visit_deferred(rest.before(run.begin())));
    UVMM_CHECK(visit(run, holder->bytes(run)));
    rest = rest.from(run.end());
  }
  UVMM_CHECK(visit_deferred(rest));
  deferred_.let_pages_go(range);
  return uvm::ok();
}

uvm::Status Loader::rewrite_private(
    uvm::GpaRange range,
    const std::function<uvm::Status(uvm::GpaRange run, std::span<std::byte> bytes)>& write) {
  UVMM_CHECK(compose(range));
  for (const auto& [run, holder] : held(range)) {
    for (const Run& piece : runs_.in(holder == window_.get() ? run : uvm::GpaRange())) {
      if (piece.value.guard == Guard::ReadOnly) {
        return uvm::Error(uvm::ErrorKind::Unsupported,
                          "private pages of " + uvm::to_string(run) + " are protected against writing");
      }
    }
    UVMM_CHECK(write(run, holder->bytes(run)));
  }
  return uvm::ok();
}

bool Loader::is_open(uvm::GpaRange range) const {
  for (const Run& piece : runs_.in(range)) {
    if (piece.value.guard != Guard::Open) return false;
  }
  return true;
}

uvm::Residency Loader::residency(uvm::GpaRange range) const {
  uvm::Residency sum;
  for (const Run& piece : runs_.in(range)) {
    if (piece.value.guard == Guard::Armed) continue;
    (void)host::scan_pages(hva(piece.range), [&](const host::PageRun& run) {
      const std::uint64_t size = run.range.size();
      if (run.swapped || run.zero_page) return;
      sum.resident += size;
      (run.of_file ? sum.shared : sum.priv) += size;
      if (run.huge) sum.huge += size;
    });
  }
  return sum;
}

void Loader::each_object_run(uvm::GpaRange range, const std::function<void(uvm::GpaRange)>& found) const {
  for (const Run& piece : runs_.in(range)) {
    if (piece.value.guard == Guard::Armed || piece.value.backing == nullptr) continue;
    if (dynamic_cast<const host::Arena*>(piece.value.backing) != nullptr) continue;
    const uvm::HvaRange shown = hva(piece.range);
    (void)host::scan_pages(shown, [&](const host::PageRun& run) {
      if (run.swapped || !run.of_file) return;
      found(*uvm::GpaRange::from_size(piece.range.begin() + (run.range.begin() - shown.begin()),
                                      run.range.size()));
    });
  }
}

uvm::Result<std::uint64_t> Loader::resident(const FoundObjectPages& found) const {
  std::uint64_t own = 0;
  for (const Run& piece : runs_.in(window_->covered())) {
    if (piece.value.guard == Guard::Armed) continue;
    const uvm::HvaRange shown = hva(piece.range);
    UVMM_CHECK(host::scan_pages(shown, [&](const host::PageRun& run) {
      if (run.swapped || run.zero_page) return;
      if (!run.of_file || piece.value.backing == nullptr) {
        own += run.range.size();
        return;
      }
      const std::uint64_t ahead = (run.range.begin() - shown.begin()) >> uvm::kPageShift;
      found(*piece.value.backing, piece.value.first_page + ahead, run.range.size() >> uvm::kPageShift);
    }));
  }
  for (const uvm::GpaRange run : stashed(window_->covered())) own += run.size();
  return own;
}

}  // namespace ept
