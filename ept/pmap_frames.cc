// Frames by their names, without translations: what a debugger reads and writes.
#include <algorithm>
#include <array>

#include "ept/pmap.h"

namespace ept {

uvm::Status Pmap::read_frame(uvm::Frame frame, std::uint64_t offset, std::span<std::byte> to) {
  std::array<std::byte, uvm::kPageSize> page;
  UVMM_CHECK(read_source(frame, page));
  std::copy_n(page.begin() + static_cast<std::ptrdiff_t>(offset), to.size(), to.begin());
  return uvm::ok();
}

uvm::Status Pmap::write_frame(uvm::Frame frame, std::uint64_t offset, std::span<const std::byte> from) {
  if (const auto* backing = dynamic_cast<const host::Backing*>(frame.store)) {
    return backing->write(frame.index, offset, from);
  }
  if (frame.store != &private_) {
    return uvm::Error(uvm::ErrorKind::Unsupported,
                      "pages of " + std::string(frame.store->name()) + " cannot be written in this space");
  }
  const uvm::Gpa page(frame.index << uvm::kPageShift);
  UVMM_CHECK(check(uvm::GpaRange::page_of(page)));
  uvm::MutexLock lock(mutex_);
  // What the guest may only read is not written where it looks: the page leaves the window, and comes back
  // with the next event.
  if (loader_.shown_at(page).guard == Guard::ReadOnly) forget_locked(uvm::GpaRange::page_of(page));
  return loader_.write_private(page + offset, from);
}

bool Pmap::discard_equal(uvm::Gpa page, std::span<const std::byte> bytes) {
  const uvm::GpaRange range = uvm::GpaRange::page_of(page);
  if (!check(range)) return false;
  uvm::MutexLock lock(mutex_);
  if (!loader_.is_private(page)) return false;
  forget_locked(range);
  std::array<std::byte, uvm::kPageSize> held;
  if (!loader_.read_private(page, held)) return false;
  if (!std::equal(held.begin(), held.end(), bytes.begin(), bytes.end())) return false;
  loader_.free_private(range);
  return true;
}

}  // namespace ept
