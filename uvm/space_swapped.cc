// What a listing asks about swap.
#include "uvm/locked_amap.h"
#include "uvm/space.h"

namespace uvm {

std::uint64_t Space::swapped(GpaRange range) const {
  std::uint64_t sum = 0;
  const SharedLock lock(map_.lock());
  map_.each(range, [&](const Entry& entry) {
    const LockedAmap amap(entry);
    const GpaRange part = entry.range.intersection(range);
    SlotRange left{entry.slot_of(part.begin()), entry.slot_of(part.begin()) + part.pages()};
    for (; const auto slot = amap.first_used(left); left.begin = *slot + 1) {
      if (amap.find(*slot)->frame().store->as_swap() != nullptr) sum += kPageSize;
    }
  });
  return sum;
}

}  // namespace uvm
