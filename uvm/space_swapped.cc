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
    while (const auto slot = amap.first_used(left)) {
      if (amap.find(*slot)->is_swapped()) sum += kPageSize;
      left.begin = *slot + 1;
    }
  });
  return sum;
}

}  // namespace uvm
