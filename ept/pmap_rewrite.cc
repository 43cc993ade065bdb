// Pmap: many pages written at once, where they are.
#include "ept/host/guarded_copy.h"
#include "ept/pmap.h"

namespace ept {

uvm::Status Pmap::rewrite_private(
    uvm::GpaRange range,
    const std::function<uvm::Status(uvm::GpaRange run, std::span<std::byte> bytes)>& write) {
  const uvm::GpaRange mine = range.intersection(config_.covered);
  if (mine.empty()) return uvm::ok();
  const uvm::MutexLock lock(mutex_);
  return loader_.rewrite_private(mine, write);
}

Pmap::Done Pmap::copy_in_open(uvm::GpaRange to, std::span<const std::byte> from) {
  const uvm::MutexLock lock(mutex_);
  // Under the lock an open range stays open, so nothing here sleeps on an event.
  if (!config_.covered.contains(to) || to.size() != from.size() || !loader_.is_open(to)) return Done::No;
  const bool touched = host::guarded_copy(loader_.window().bytes(to), from) == host::Touched::Yes;
  return touched ? Done::Yes : Done::No;
}

}  // namespace ept
