#include "uvm/pin_owner.h"

namespace uvm {

bool PinOwner::charge(std::uint64_t bytes) {
  std::uint64_t before = pinned_.load(std::memory_order_relaxed);
  do {
    if (before > limit_ || bytes > limit_ - before) return false;
  } while (!pinned_.compare_exchange_weak(before, before + bytes, std::memory_order_relaxed));
  return true;
}

}  // namespace uvm
