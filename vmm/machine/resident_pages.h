// Which pages of a guest's memory are in host memory, and whose they are.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "ept/pmap.h"
#include "uvm/base/error.h"
#include "vmm/snapshot/memory_image.h"

namespace vmm {

struct ObjectRun {
  std::uint64_t first = 0;  // page of the object
  std::uint64_t pages = 0;

  [[nodiscard]] std::uint64_t end() const { return first + pages; }
  friend auto operator<=>(const ObjectRun&, const ObjectRun&) = default;
};

/// Ascending, and each page once: a guest may map one twice, and two guests the same.
void put_in_order(std::vector<ObjectRun>& runs);

/// Of one guest, at one moment. What the kernel has moved to its swap is not counted, nor are pages of zeros
/// that the kernel has one for all of.
struct ResidentPages {
  std::uint64_t own = 0;                                          // bytes: private pages
  std::map<uvm::ObjectIdentity, std::vector<ObjectRun>> objects;  // ascending, disjoint
  /// Bytes of host memory in the file of each object that the guest keeps alive, whether its own mappings
  /// show them or not: pages nobody has touched yet, or that everybody has copied. Swap included; files on a
  /// disk, whose pages the kernel can drop, are not there.
  std::map<uvm::ObjectIdentity, std::uint64_t> held;

  /// Asks the host about every page: 13 ns each. `kept`: GuestMemory::objects(). Errors: System.
  [[nodiscard]] static uvm::Result<ResidentPages> of(const ept::Pmap& pmap,
                                                     const std::vector<snapshot::MemoryObject>& kept);

  /// For another process of this host. Errors: Invalid.
  [[nodiscard]] std::vector<std::byte> encode() const;
  [[nodiscard]] static uvm::Result<ResidentPages> decode(std::span<const std::byte> bytes);
};

}  // namespace vmm
