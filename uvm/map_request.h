// What a caller says to make a mapping, and what it is told about one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "uvm/base/range.h"
#include "uvm/object.h"
#include "uvm/protection.h"

namespace uvm {

/// What map() does when something is mapped in the range already.
enum class Overlap : std::uint8_t {
  Refuse,   // Busy, naming the mapping that is there
  Replace,  // that part of it is unmapped first
};

/// Every field has a meaning of its own; the defaults describe guest RAM.
struct MapRequest {
  GpaRange range;                            // page-aligned, not empty, inside the space's limits
  std::shared_ptr<Object> object = nullptr;  // null: zero-filled memory of the mapping's own
  ObjectOffset offset{};                     // bytes, page-aligned; ignored without an object
  Sharing sharing = Sharing::Private;        // Private: writes never reach the object
  /// Rights now: None, or any set with Read in it (second-stage tables cannot express the others).
  Protection protection = Protection::All;
  /// The most protect() can ever give, and what a WireMax fault prepares for. Of a Shared mapping never more
  /// than the object's max_protection().
  Protection max_protection = Protection::All;
  Inherit inherit = Inherit::Copy;
  Advice advice = Advice::Normal;  // Random: one page a fault, nothing entered ahead
  Overlap overlap = Overlap::Refuse;
  std::string name;  // for listings and errors: "ram", "kernel", "initrd", "rom"
};

/// A mapping as listings show it.
struct EntryInfo {
  GpaRange range;
  std::string name;
  std::string object;            // the object's name; empty for zero-filled memory
  ObjectIdentity identity;       // of the object
  Tenure tenure = Tenure::Kept;  // of the object's pages; None: a device
  ObjectOffset offset{};
  Sharing sharing = Sharing::Private;
  Protection protection = Protection::None;
  Protection max_protection = Protection::None;
  Inherit inherit = Inherit::Copy;
  Advice advice = Advice::Normal;
  bool needs_copy = false;  // its amap is still another mapping's too
  std::uint64_t anons = 0;  // pages in the amap; private pages in place are the pmap's (see residency())
  std::uint64_t wired = 0;  // bytes that pins hold
};

}  // namespace uvm
