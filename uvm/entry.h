// Entry: one mapping of a space and its attributes (NetBSD vm_map_entry).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "uvm/amap.h"
#include "uvm/base/range.h"
#include "uvm/map_request.h"
#include "uvm/object.h"
#include "uvm/pmap.h"
#include "uvm/protection.h"

namespace uvm {

/// A value, protected by the lock of the map that holds it. Protection is always part of max_protection.
struct Entry {
  GpaRange range;
  std::shared_ptr<const std::string> name;  // shared, so that clipping allocates no text
  std::shared_ptr<Object> object;           // null: zero-filled
  ObjectOffset offset{};                    // of range.begin() in the object
  std::shared_ptr<Amap> amap;               // null until a private page must be usable elsewhere
  std::uint64_t slot = 0;                   // of range.begin() in the amap
  Sharing sharing = Sharing::Private;
  Protection protection = Protection::None;
  Protection max_protection = Protection::None;
  Inherit inherit = Inherit::Copy;
  Advice advice = Advice::Normal;
  /// The amap is still another mapping's too: copy it before the first write. Implies an amap; one that was
  /// never made is an empty one of our own.
  bool needs_copy = false;
  /// Where its private pages are made. Shareable once somebody outside this process pinned some of them: the
  /// host makes none here any more, and there is an amap.
  Placement placement = Placement::InPlace;

  [[nodiscard]] bool is_private() const { return sharing == Sharing::Private; }
  /// Whether the mapping has private pages over its object, or for want of one.
  [[nodiscard]] bool has_layer() const { return object == nullptr || is_private(); }
  [[nodiscard]] std::uint64_t slot_of(Gpa page) const {
    return slot + ((page - range.begin()) >> kPageShift);
  }
  [[nodiscard]] ObjectOffset offset_of(Gpa page) const { return offset + (page - range.begin()); }
  [[nodiscard]] Gpa page_of_slot(std::uint64_t s) const { return range.begin() + ((s - slot) << kPageShift); }
  [[nodiscard]] SlotRange slots() const { return {slot, slot + range.pages()}; }
  [[nodiscard]] SlotRange slots_of(GpaRange part) const {
    return {slot_of(part.begin()), slot_of(part.begin()) + part.pages()};
  }

  /// What the entry shows of its amap, in bytes.
  [[nodiscard]] ObjectRange amap_window() const {
    return ObjectRange::from_size(ObjectOffset(slot << kPageShift), range.size()).value_or(ObjectRange());
  }

  /// The same mapping cut down to `part`.
  [[nodiscard]] Entry clipped(GpaRange part) const;
  /// Whether `next`, which begins where this one ends, could have been one mapping with it.
  [[nodiscard]] bool merges_with(const Entry& next) const;
  [[nodiscard]] EntryInfo info() const;

  /// The records that object and amap keep of this mapping at `pmap`.
  [[nodiscard]] Use object_use(Pmap& pmap) const { return {&pmap, range, offset}; }
  [[nodiscard]] Use amap_use(Pmap& pmap) const { return {&pmap, range, ObjectOffset(slot << kPageShift)}; }
};

}  // namespace uvm
