#include "uvm/discard.h"

#include <utility>

#include "uvm/open_ranges.h"
#include "uvm/page_out.h"
#include "uvm/pin_table.h"

namespace uvm {

void Discard::run(GpaRange range) {
  for (GpaRange rest : unpinned(memory_.pins, range)) {
    while (!rest.empty()) {
      const Entry* found = memory_.map.first_from(rest.begin());
      if (found == nullptr || !found->range.overlaps(rest)) break;
      Entry& entry = *memory_.map.find_for_change(found->range.begin());
      const GpaRange part = entry.range.intersection(rest);
      visit(entry, part);
      rest = rest.from(part.end());
    }
  }
}

bool Discard::keeps(const Entry& entry, GpaRange part) const {
  if (!includes(entry.protection, Protection::Write) || memory_.open.overlapping(part)) return true;
  if (!entry.has_layer()) {
    const auto shown = ObjectRange::from_size(entry.offset_of(part.begin()), part.size());
    return entry.object->is_shared_in(*shown);
  }
  // What has needs_copy is nobody else's to see.
  return !entry.needs_copy && LockedAmap(entry).is_shared_in(entry.slots_of(part));
}

void Discard::visit(Entry& entry, GpaRange part) {
  if (!keeps(entry, part)) {
    if (entry.has_layer()) return visit_layer(entry, part);
    const auto shown = ObjectRange::from_size(entry.offset_of(part.begin()), part.size());
    given_back_ += entry.object->discard(*shown) << kPageShift;
    return;
  }
  if (part.pages() == 1) return;
  const Gpa middle = part.begin() + (part.pages() / 2 << kPageShift);
  visit(entry, part.before(middle));
  visit(entry, part.from(middle));
}

void Discard::visit_layer(Entry& entry, GpaRange part) {
  if (entry.needs_copy) {
    const bool has_pages = LockedAmap(entry).first_used(entry.slots_of(part)).has_value();
    if (has_pages) memory_.map.own_amap(entry);
  }
  LockedAmap amap(entry);
  // Without a slot there, needs_copy stays, and so do the others' pages.
  take(entry, amap, entry.slots_of(part));
  memory_.pmap.free_private(part);
  account_.remove(part);
  given_back_ += part.size();
}

void Discard::take(const Entry& entry, LockedAmap& amap, SlotRange slots) {
  while (const auto slot = amap.first_used(slots)) {
    slots.begin = *slot + 1;
    const Anon anon = *amap.find(*slot);
    if (!anon.is_swapped()) {
      if (taken_.size() == taken_.capacity()) taken_.reserve(2 * taken_.size() + 8);
      anon.reference();
      taken_.push_back(anon);
      memory_.pmap.remove(GpaRange::page_of(entry.page_of_slot(*slot)));
    }
    amap.drop(*slot, memory_.pmap);
  }
}

void Discard::finish() {
  if (taken_.empty()) return;
  memory_.pmap.update();
  for (const Anon& anon : std::exchange(taken_, {})) anon.release(memory_.pmap);
}

}  // namespace uvm
