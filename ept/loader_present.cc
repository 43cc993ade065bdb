// Guard::Present: memory whose pages come one by one, each counted by somebody.
//
// The whole range stays watched for absent pages, whatever comes and goes in it, so nothing here cuts a host
// mapping in two: pages are put in by one atomic call each, and leave for the stash by a copy. A move of the
// mapping would save the copy and leave one host mapping a move, which adds up to more than a process may
// have.
#include <algorithm>
#include <array>
#include <boost/container/static_vector.hpp>
#include <cstring>

#include "ept/host/pagemap.h"
#include "ept/loader.h"

namespace ept {
namespace {

using Access = host::Window::Access;

/// Pages on their way to the stash exist twice; no more of them at once.
constexpr std::uint64_t kAtOnce = std::uint64_t{256} << 10;

/// As many as can be in that many bytes, if each comes alone.
using PageRuns = boost::container::static_vector<uvm::GpaRange, kAtOnce / uvm::kPageSize>;

constexpr std::uint64_t kZeros = std::uint64_t{64} << 10;
alignas(uvm::kPageSize) constexpr std::array<std::byte, kZeros> zeros{};

}  // namespace

uvm::Status Loader::show_present(uvm::GpaRange range) {
  if (uffd_ == nullptr) {
    return uvm::Error(
        uvm::ErrorKind::Unsupported,
        "guest range " + uvm::to_string(range) + ": absent pages cannot be watched: " + watch_reason_,
        "run without a memory limit, or let this process have a userfaultfd");
  }
  UVMM_CHECK(compose(range));
  if (scratch_ == nullptr) {
    UVMM_TRY(auto scratch, host::Window::reserve(window_->covered()));
    scratch_ = std::make_unique<host::Window>(std::move(scratch));
  }
  for (const Run& piece : runs_.in(range)) {
    if (piece.value.guard != Guard::Present) {
      UVMM_CHECK(prepare(piece.range));
      UVMM_CHECK(make_present(piece));
    }
    UVMM_CHECK(bring_all_back(piece.range));
  }
  return uvm::ok();
}

uvm::Status Loader::make_present(const Run& piece) {
  const auto& [range, shown] = piece;
  if (shown.show == Show::Zero && shown.guard == Guard::Armed) {
    // What has no page and is watched is the same by either name. Taken as a whole, pages that are entered in
    // no order do not cut it up.
    runs_.assign(runs_.around(range.begin()), Shown{}.with(Guard::Present));
    return uvm::ok();
  }
  if (shown.show == Show::Zero && shown.guard == Guard::Open) {
    UVMM_CHECK(uffd_->watch(hva(range), host::Watch::Absent));
  } else if (shown.guard != Guard::Armed) {
    UVMM_CHECK(arm_piece(piece));
  }
  if (shown.show != Show::Zero) {
    UVMM_CHECK(map_hole(range));
    wake(range);
  }
  runs_.assign(range, Shown{}.with(Guard::Present));
  return uvm::ok();
}

uvm::Status Loader::bring_all_back(uvm::GpaRange range) {
  for (const uvm::GpaRange run : stashed(range)) {
    UVMM_CHECK(uffd_->copy(hva(run), stash_window_->bytes(run).data(), host::Wake::Yes));
    (void)stash_window_->drop_pages(run);
  }
  return uvm::ok();
}

uvm::Status Loader::fill_present(uvm::GpaRange range, std::span<const std::byte> bytes) {
  for (uvm::GpaRange rest = range; !rest.empty();) {
    const uvm::GpaRange part = bytes.empty() ? rest.before(rest.begin() + kZeros) : rest;
    const std::byte* const source = bytes.empty() ? zeros.data() : bytes.data();
    if (auto status = uffd_->copy(hva(part), source, host::Wake::Yes); !status) {
      (void)window_->drop_pages(range);
      return status;
    }
    rest = rest.from(part.end());
  }
  return uvm::ok();
}

uvm::Status Loader::hide_present(uvm::GpaRange range) {
  for (uvm::GpaRange rest = range; !rest.empty();) {
    const uvm::GpaRange part = rest.before(rest.begin() + kAtOnce);
    rest = rest.from(part.end());
    // Nobody but this class puts pages into a Present range, so what is found stays what there is.
    PageRuns runs;
    host::each_private_run(*window_, part, host::MappingOf::Anonymous,
                           [&](uvm::GpaRange run) { runs.push_back(run); });
    if (!runs.empty()) UVMM_CHECK(hide_part(part, runs));
  }
  return uvm::ok();
}

uvm::Status Loader::hide_part(uvm::GpaRange part, std::span<const uvm::GpaRange> private_runs) {
  UVMM_CHECK(open_stash(part));
  // All that can fail comes before the pages leave their place.
  const auto make_room = [&]() -> uvm::Status {
    for (const uvm::GpaRange run : private_runs) UVMM_CHECK(stash_window_->populate_write(run));
    return window_->move_pages_to(*scratch_, part);
  };
  if (auto status = make_room(); !status) {
    for (const uvm::GpaRange run : private_runs) (void)stash_window_->drop_pages(run);
    return status;
  }
  for (const uvm::GpaRange run : private_runs) {
    std::memcpy(stash_window_->bytes(run).data(), scratch_->bytes(run).data(), run.size());
  }
  (void)scratch_->unmap(part);
  return uvm::ok();
}

uvm::Status Loader::open_stash(uvm::GpaRange range) {
  // Where pages come and go one by one, all of their range is opened at once, in one host mapping.
  uvm::GpaRange whole = range;
  if (shown_at(range.begin()).guard == Guard::Present) whole = runs_.around(range.begin());
  const auto open = [&](uvm::GpaRange gap) -> uvm::Status {
    if (gap.empty()) return uvm::ok();
    UVMM_CHECK(stash_window_->map_zero(gap, Access::ReadWrite, host::HugePages::Never));
    stash_.assign(gap, Shown{}.with(Guard::Open));
    return uvm::ok();
  };
  uvm::GpaRange rest = whole;
  for (const Run& piece : stash_.in(whole)) {
    UVMM_CHECK(open(rest.before(piece.range.begin())));
    rest = rest.from(piece.range.end());
  }
  return open(rest);
}

void Loader::discard_present(uvm::GpaRange range) {
  (void)window_->drop_pages(range);
  for (const Run& piece : stash_.in(range)) (void)stash_window_->drop_pages(piece.range);
}

}  // namespace ept
