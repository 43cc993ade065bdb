#include "uvm/entry.h"

namespace uvm {

Entry Entry::clipped(GpaRange part) const {
  Entry piece = *this;
  piece.offset = offset_of(part.begin());
  piece.slot = slot_of(part.begin());
  piece.range = part;
  return piece;
}

bool Entry::merges_with(const Entry& next) const {
  if (range.end() != next.range.begin()) return false;
  if (sharing != next.sharing || protection != next.protection || max_protection != next.max_protection ||
      inherit != next.inherit || advice != next.advice || needs_copy != next.needs_copy ||
      placement != next.placement) {
    return false;
  }
  if (object != next.object || (object && offset_of(range.end()) != next.offset)) return false;
  if (amap != next.amap || (amap && slot_of(range.end()) != next.slot)) return false;
  return name == next.name || *name == *next.name;
}

EntryInfo Entry::info() const {
  EntryInfo shown;
  shown.range = range;
  shown.name = *name;
  if (object) {
    shown.object = std::string(object->name());
    shown.identity = object->identity();
    shown.tenure = object->tenure();
    shown.offset = offset;
  }
  shown.sharing = sharing;
  shown.protection = protection;
  shown.max_protection = max_protection;
  shown.inherit = inherit;
  shown.advice = advice;
  shown.needs_copy = needs_copy;
  if (amap) {
    const MutexLock lock(amap->lock());
    shown.anons = amap->used(slots());
  }
  return shown;
}

}  // namespace uvm
