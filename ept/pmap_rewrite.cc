// Pmap: many private pages read, written or made at once, where they are.
#include "ept/host/guarded_copy.h"
#include "ept/pmap.h"

#include <new>
#include <utility>

namespace ept {

uvm::Status Pmap::each_private(
    uvm::GpaRange range,
    const std::function<uvm::Status(uvm::GpaRange run, std::span<const std::byte> bytes)>& visit) const {
  const uvm::GpaRange mine = range.intersection(config_.covered);
  if (mine.empty()) return uvm::ok();
  const uvm::MutexLock lock(mutex_);
  return loader_.each_private(mine, visit);
}

uvm::Status Pmap::rewrite_private(
    uvm::GpaRange range,
    const std::function<uvm::Status(uvm::GpaRange run, std::span<std::byte> bytes)>& write) {
  const uvm::GpaRange mine = range.intersection(config_.covered);
  if (mine.empty()) return uvm::ok();
  const uvm::MutexLock lock(mutex_);
  return loader_.rewrite_private(mine, write);
}

uvm::Status Pmap::defer(DeferredPages pages) try {
  UVMM_CHECK(check(pages.range));
  for (const DeferredPages::Page& page : pages.pages) {
    if (pages.range.contains(uvm::Gpa(page.guest << uvm::kPageShift))) continue;
    return uvm::Error(uvm::ErrorKind::Invalid, "deferred page " + std::to_string(page.guest) + " is not in " +
                                                   uvm::to_string(pages.range));
  }
  const uvm::MutexLock lock(mutex_);
  loader_.defer(std::move(pages));
  return uvm::ok();
} catch (const std::bad_alloc&) {
  return uvm::out_of_memory([] { return uvm::Error(uvm::ErrorKind::NoMemory, "no memory to defer pages"); });
}

uvm::Status Pmap::compose(uvm::GpaRange range) try {
  const uvm::GpaRange mine = range.intersection(config_.covered);
  if (mine.empty()) return uvm::ok();
  const uvm::MutexLock lock(mutex_);
  return loader_.compose(mine);
} catch (const std::bad_alloc&) {
  return uvm::out_of_memory([] { return uvm::Error(uvm::ErrorKind::NoMemory, "no memory to make pages"); });
}

Pmap::Done Pmap::copy_in_open(uvm::GpaRange to, std::span<const std::byte> from) {
  const uvm::MutexLock lock(mutex_);
  // Under the lock an open range stays open, so nothing here sleeps on an event.
  if (!config_.covered.contains(to) || to.size() != from.size() || !loader_.is_open(to)) return Done::No;
  const bool touched = host::guarded_copy(loader_.window().bytes(to), from) == host::Touched::Yes;
  return touched ? Done::Yes : Done::No;
}

}  // namespace ept
