// Guest bytes for this process: where the window shows them.
#include "ept/host/guarded_copy.h"
#include "ept/pmap.h"

#include <new>

namespace ept {

using uvm::ErrorKind;

std::span<std::byte> Pmap::bytes(uvm::GpaRange range) {
  if (!config_.covered.contains(range)) return {};
  const uvm::Hva begin = loader_base_ + (range.begin() - config_.covered.begin());
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a host address is a number up to this place
  return {reinterpret_cast<std::byte*>(begin.value()), range.size()};
}

uvm::Status Pmap::copy_out(uvm::GpaRange from, std::span<std::byte> to) {
  UVMM_CHECK(check(uvm::GpaRange::page_of(from.begin())));
  if (host::guarded_copy(to, bytes(from)) == host::Touched::Yes) return uvm::ok();
  return copy_again(from.begin().page_down(), uvm::AccessKind::Read, to, bytes(from));
}

uvm::Status Pmap::copy_in(uvm::GpaRange to, std::span<const std::byte> from) {
  UVMM_CHECK(check(uvm::GpaRange::page_of(to.begin())));
  if (host::guarded_copy(bytes(to), from) == host::Touched::Yes) return uvm::ok();
  return copy_again(to.begin().page_down(), uvm::AccessKind::Write, bytes(to), from);
}

uvm::Status Pmap::copy_again(uvm::Gpa page, uvm::AccessKind access, std::span<std::byte> to,
                             std::span<const std::byte> from) const {
  uvm::MutexLock lock(mutex_);
  // Nothing here may become an event: who resolves it needs the lock.
  const Guard guard = loader_.shown_at(page).guard;
  if (guard == Guard::Armed || (guard == Guard::ReadOnly && access == uvm::AccessKind::Write)) {
    return uvm::Error(ErrorKind::Busy, "guest page " + uvm::to_string(page) + " has no translation any more",
                      "fault it in again");
  }
  if (host::guarded_copy(to, from) == host::Touched::Yes) return uvm::ok();
  return untouchable_locked(page);
}

uvm::Error Pmap::untouchable_locked(uvm::Gpa page) const {
  const Shown shown = loader_.shown_at(page);
  // A backing is only gone where nothing of it is in view.
  if (shown.show != Show::Zero && shown.guard != Guard::Armed) {
    if (auto there = shown.backing->check_page(shown.first_page); !there) return std::move(there).error();
  }
  return uvm::Error(ErrorKind::PagerIo, "guest page " + uvm::to_string(page) +
                                            ": the host cannot bring it; its memory or disk failed, or the "
                                            "file was cut and grew again");
}

uvm::Status Pmap::settle(std::span<const uvm::GpaRange> ranges) try {
  uvm::MutexLock lock(mutex_);
  for (const uvm::GpaRange& range : ranges) {
    const uvm::GpaRange mine = range.intersection(config_.covered);
    if (!mine.empty()) UVMM_CHECK(loader_.settle(mine));
  }
  return uvm::ok();
} catch (const std::bad_alloc&) {
  return uvm::out_of_memory([&] {
    return uvm::Error(
        uvm::ErrorKind::NoMemory,
        "guest memory from " + uvm::to_string(ranges.front().begin()) + ": no memory to settle it");
  });
}

}  // namespace ept
