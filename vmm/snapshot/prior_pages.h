// What the last image of a machine holds of its changed pages, for the next image: a page that is still the
// same is not copied again, and all images and copies of machines share it.
//
// Nobody notes which pages a guest writes: that would cost it a fault for each. They are compared instead,
// which takes less time than copying them into fresh memory does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ept/host/shared_view.h"
#include "uvm/base/error.h"
#include "vmm/snapshot/memory_image.h"

namespace vmm::snapshot {

/// Not thread-safe.
class PriorPages {
 public:
  /// An object is worth holding on to when at least one page in so many of it is still the same, and no image
  /// is in more than so many that are not its own.
  static constexpr std::uint64_t kOneIn = 2;
  static constexpr std::size_t kMostObjects = 8;

  PriorPages() = default;
  /// `changed` pages of an image. Costs address space and no memory. Errors: NoMemory, System.
  [[nodiscard]] static uvm::Result<PriorPages> create(std::vector<MemoryRegion> changed);

  [[nodiscard]] bool empty() const { return changed_.empty(); }
  /// Where a page with these bytes, all of it, is at hand; nothing: nowhere.
  [[nodiscard]] std::optional<MemoryRegion> find(uvm::Gpa page, std::span<const std::byte> bytes) const;
  /// For each page that was found, in a first look at all; then keep_worthwhile() forgets the objects that
  /// are not worth holding on to. The pages that were found in those that stay.
  void count(const MemoryRegion& found) { ++found_[found.object.get()]; }
  std::uint64_t keep_worthwhile();

 private:
  std::vector<MemoryRegion> changed_;
  std::map<const ept::host::Backing*, ept::host::SharedView> views_;
  std::map<const ept::host::Backing*, std::uint64_t> found_;  // pages
};

/// Changed pages of an image, without keeping their memory alive.
class RememberedPages {
 public:
  RememberedPages() = default;
  explicit RememberedPages(const MemoryImage& image);
  /// The objects they are in, as far as somebody still has them.
  [[nodiscard]] std::vector<MemoryObject> objects() const;
  /// Those whose memory somebody still has.
  [[nodiscard]] std::vector<MemoryRegion> alive() const;

 private:
  struct Run {
    uvm::GpaRange range;
    std::size_t object = 0;  // of objects_
    std::uint64_t offset = 0;
  };
  std::vector<std::weak_ptr<ept::host::Backing>> objects_;
  std::vector<Run> runs_;
};

}  // namespace vmm::snapshot
