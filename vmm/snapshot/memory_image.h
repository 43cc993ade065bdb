// Guest memory at one moment, in objects that never change: what children map, resets copy back and snapshots
// write out.
//
// Two layers, as everywhere: regions of frozen objects at the bottom (or zeros), and over them the pages that
// were private at that moment, their bytes dense in more frozen objects. Taking an image of memory that is in
// frozen objects already copies its private pages and nothing else; and of those only the ones that are not
// what the last image holds, while somebody still has that (PriorPages). Where they are many they are copied
// while the guest runs, and again in the pause what was written meanwhile (PageCollector).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "ept/host/backing.h"
#include "ept/host/shared_view.h"
#include "uvm/base/error.h"
#include "uvm/base/range.h"
#include "vmm/snapshot/memory_sums.h"

namespace vmm::snapshot {

/// From so many pages on a run is mapped from the object it is in: that costs a host mapping (5
/// microseconds), copying a page 2. Fewer when a machine has many mappings already.
inline constexpr std::uint64_t kMapFrom = 16;
inline constexpr std::size_t kMostRegions = 2048;

/// Of at least one byte.
[[nodiscard]] bool all_zeros(std::span<const std::byte> bytes);

/// A frozen object, or the file of a snapshot, which nobody changes.
using MemoryObject = std::shared_ptr<ept::host::Backing>;

struct MemoryRegion {
  uvm::GpaRange range;
  MemoryObject object;       // null: zeros
  std::uint64_t offset = 0;  // bytes in the object, of range.begin()

  [[nodiscard]] MemoryRegion part(uvm::GpaRange sub) const {
    return {sub, object, object ? offset + (sub.begin() - range.begin()) : 0};
  }
  /// Whether a page of the range comes from the same place in both.
  [[nodiscard]] bool same_memory(const MemoryRegion& other, uvm::GpaRange common) const {
    return object == other.object && part(common).offset == other.part(common).offset;
  }
  friend bool operator==(const MemoryRegion&, const MemoryRegion&) = default;
};

/// A value; copies share the objects.
struct MemoryImage {
  std::vector<MemoryRegion> regions;  // ascending, disjoint; all of RAM
  std::vector<MemoryRegion> changed;  // ascending, disjoint; pages that are not what their region says
  std::vector<MemorySums> unchecked;  // files among the objects of which some has not been checked yet

  [[nodiscard]] std::uint64_t changed_pages() const;
};

/// Behind what is there; as a part of the last one, where it goes on in the same memory.
void append_region(std::vector<MemoryRegion>& regions, const MemoryRegion& next);

/// Behind what is there, unless it is there or null.
void add_object(std::vector<MemoryObject>& objects, const MemoryObject& object);

/// Bytes of host memory in an object's file, by the kernel's count; 0 of a file on a disk.
[[nodiscard]] std::uint64_t held_by(const ept::host::Backing& object);

/// All objects of an image, each once.
[[nodiscard]] std::vector<MemoryObject> objects_of(const MemoryImage& image);

/// What has no object yet is in this one.
void settle(std::vector<MemoryRegion>& regions, const MemoryObject& object);

/// What is outside of some ranges; both are ascending and disjoint.
[[nodiscard]] std::vector<MemoryRegion> without(const std::vector<MemoryRegion>& regions,
                                                std::span<const uvm::GpaRange> ranges);

/// `base` where there is nothing of `over`, which is ascending like it and lies within it.
[[nodiscard]] std::vector<MemoryRegion> overlaid(const std::vector<MemoryRegion>& base,
                                                 const std::vector<MemoryRegion>& over);

/// What regions cover, in as few ranges as possible.
[[nodiscard]] std::vector<uvm::GpaRange> covered_by(const std::vector<MemoryRegion>& regions);

/// The same, mapped for reading. Immutable, any thread.
class ImageView {
 public:
  /// Costs address space and no memory. Errors: NoMemory, System.
  [[nodiscard]] static uvm::Result<ImageView> create(const MemoryImage& image);

  /// Copies whole pages of guest memory, which lie in regions.
  void read(uvm::Gpa from, std::span<std::byte> to) const;
  [[nodiscard]] const MemoryImage& image() const { return image_; }

 private:
  explicit ImageView(const MemoryImage& image) : image_(image) {}
  [[nodiscard]] uvm::Status map(const MemoryObject& object);
  void read_regions(uvm::GpaRange range, std::span<std::byte> to) const;

  MemoryImage image_;
  std::map<const ept::host::Backing*, ept::host::SharedView> views_;
};

}  // namespace vmm::snapshot
