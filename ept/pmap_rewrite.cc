// Pmap: many private pages written at once, where they are.
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

}  // namespace ept
