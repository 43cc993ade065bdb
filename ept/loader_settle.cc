// Private pages that change the memory they lie in, from a mapping of a file into anonymous memory: a file
// that is cut takes its private copies along, and a device may hold them.
#include <vector>

#include "ept/loader.h"

namespace ept {
namespace {

using Access = host::Window::Access;

/// A device's buffers lie anywhere: moving their neighbours as well keeps the pieces few. A file of 64 MiB
/// that is pinned page by page, in any order, is in a thousand pieces at most.
constexpr std::uint64_t kSettleChunk = std::uint64_t{64} << 10;

/// Pages on their way exist three times; no more of them at once.
constexpr std::uint64_t kCopiedAtOnce = uvm::kLargePageSize;

constexpr Shown kSettled{.show = Show::Zero, .settled = true};

}  // namespace

uvm::Status Loader::settle(uvm::GpaRange range) {
  if (window_->knows_private(range)) return uvm::ok();  // which is said of settled pages only
  UVMM_CHECK(compose(range));
  const auto can_be_cut = [](const Shown& shown) { return !shown.lasting; };
  const uvm::Gpa begin(range.begin().value() & ~(kSettleChunk - 1));
  const uvm::Gpa end((range.end().value() + kSettleChunk - 1) & ~(kSettleChunk - 1));
  const auto around = uvm::GpaRange::from_bounds(begin, end)->intersection(window_->covered());
  // A scatter list asks for each of its pages: most lie in the middle of memory that no file has to do with.
  const Shown* const all = runs_.covering(around);
  const auto in_view = all != nullptr && !can_be_cut(*all) ? uvm::GpaRange() : around;
  for (const Run& piece : runs_.in(in_view)) {
    if (!can_be_cut(piece.value) || !any_private_in_view(piece.range)) continue;
    // Neighbours, as far as the file still reaches; what fails becomes private with its own first write.
    (void)window_->populate_write(piece.range);
    for (const uvm::GpaRange run : private_in_view(piece.range)) {
      UVMM_CHECK(prepare(run));
      const std::uint64_t skipped = (run.begin() - piece.range.begin()) >> uvm::kPageShift;
      UVMM_CHECK(settle_in_view({run, piece.value.advanced(skipped)}));
    }
  }
  for (const Run& piece : stash_.in(around)) {
    if (!can_be_cut(piece.value)) continue;
    for (const uvm::GpaRange run : stashed(piece.range)) {
      UVMM_CHECK(prepare(run));
      UVMM_CHECK(convert_stashed(run, kSettled));
    }
  }
  // A device that pins the same buffers again and again is the usual one.
  if (steady_.covering(range) != nullptr) return uvm::ok();
  if (!steady_.can_assign()) {
    return uvm::Error(uvm::ErrorKind::NoMemory,
                      "guest range " + uvm::to_string(range) + ": no memory to note that its pages stay");
  }
  steady_.assign(range, {});
  return uvm::ok();
}

uvm::Status Loader::settle_in_view(const Run& piece) {
  const uvm::GpaRange range = piece.range;
  const Shown& shown = piece.value;
  // Nothing may write the pages that are being copied; but they stay to be read until the new ones are in
  // their place: KVM reads the guest's page tables where the window shows them, and makes a page fault of the
  // guest's out of what it cannot read.
  if (shown.guard == Guard::Open) UVMM_CHECK(window_->set_access(range, Access::Read));
  const auto copy = [&]() -> uvm::Status {
    UVMM_CHECK(stash_window_->map_zero(range, Access::ReadWrite, options_.huge));
    stash_.assign(range, kSettled.with(Guard::Open));
    UVMM_CHECK(stash_window_->populate_write(range));
    UVMM_CHECK(copy_private(stash_window_->bytes(range), window_->bytes(range), range));
    return bring_back(range, shown, kSettled.with(shown.guard));
  };
  auto status = copy();
  if (!status) {
    discard_stash(range);
    if (shown.guard == Guard::Open) (void)window_->set_access(range, Access::ReadWrite);
  }
  return status;
}

uvm::Status Loader::convert_stashed(uvm::GpaRange range, const Shown& to) {
  std::vector<std::byte> bytes;
  for (const Run& piece : stash_.in(range)) {
    const Shown wanted = to.advanced((piece.range.begin() - range.begin()) >> uvm::kPageShift);
    if (piece.value.same_memory(wanted)) continue;
    for (uvm::GpaRange rest = piece.range; !rest.empty();) {
      const uvm::GpaRange part = rest.before(rest.begin() + kCopiedAtOnce);
      const Shown there = wanted.advanced((part.begin() - piece.range.begin()) >> uvm::kPageShift);
      UVMM_CHECK(prepare(part));
      const auto page_bytes = stash_window_->bytes(part);
      bytes.resize(page_bytes.size());
      UVMM_CHECK(copy_private(bytes, page_bytes, part));
      UVMM_CHECK(there.show == Show::Zero
                     ? stash_window_->map_zero(part, Access::ReadWrite, options_.huge)
                     : stash_window_->map_private(part, *there.backing, there.first_page, Access::ReadWrite));
      stash_.assign(part, there.with(Guard::Open));
      if (auto copied = copy_private(page_bytes, bytes, part); !copied) {
        // The file was cut just now. The bytes are data, and stay.
        UVMM_CHECK(stash_window_->map_zero(part, Access::ReadWrite, host::HugePages::Never));
        stash_.assign(part, kSettled.with(Guard::Open));
        UVMM_CHECK(copy_private(page_bytes, bytes, part));
        return copied;
      }
      rest = rest.from(part.end());
    }
  }
  return uvm::ok();
}

}  // namespace ept
