// Where the bytes of a memory image are, as a section: for another process or a file, which gets the objects
// themselves beside it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/devices/state.h"
#include "vmm/snapshot/memory_image.h"

namespace vmm::snapshot {

/// An image with numbers for objects. Reading one checks nothing but itself; resolve() checks it against the
/// objects.
class ImageLayout final : public devices::Stateful {
 public:
  ImageLayout() = default;
  /// Appends the image's objects to `objects`, each once.
  ImageLayout(const MemoryImage& image, std::vector<MemoryObject>& objects);

  /// The image's RAM in one object, at its guest-physical addresses.
  [[nodiscard]] static ImageLayout of_file(const MemoryImage& image);

  /// The image's RAM in two: the pages `own` in an object at their guest-physical addresses, all others in
  /// what it builds on.
  [[nodiscard]] static ImageLayout of_delta(const MemoryImage& image, const std::vector<uvm::GpaRange>& own);

  /// Whether it is one of of_delta().
  [[nodiscard]] bool is_delta() const { return objects_ == kDeltaObjects; }
  /// Of a delta whose object is `file`, over what covers `ram`: the regions that are its own. Errors:
  /// Invalid, as resolve(); regions of other RAM.
  [[nodiscard]] uvm::Result<std::vector<MemoryRegion>> own_regions(
      const MemoryObject& file, const std::vector<uvm::GpaRange>& ram) const;

  /// Errors: Invalid (ranges that overlap, are not whole pages, or lie outside of their object).
  [[nodiscard]] uvm::Result<MemoryImage> resolve(std::span<const MemoryObject> objects) const;
  [[nodiscard]] std::uint32_t objects() const { return objects_; }

  [[nodiscard]] std::string_view state_name() const override { return "memory"; }
  /// 2: changed pages may be in more than one object.
  [[nodiscard]] std::uint16_t state_version() const override { return 2; }
  void state(devices::StateFields& fields) override;

 private:
  static constexpr std::uint32_t kDeltaObjects = 2;  // its own, and what it builds on

  struct Region {
    std::uint64_t begin;  // GPA
    std::uint64_t bytes;
    std::uint64_t offset;  // in the object
    std::uint64_t object;  // 1, 2, …; 0: zeros
  };
  /// As version 1 has changed pages: one run behind the other in one object.
  struct DenseRun {
    std::uint64_t begin;  // GPA
    std::uint64_t bytes;
  };
  void read_dense(devices::StateFields& fields);
  [[nodiscard]] uvm::Result<MemoryObject> object_of(std::uint64_t number,
                                                    std::span<const MemoryObject> objects) const;

  std::uint32_t objects_ = 0;
  std::vector<Region> regions_;
  std::vector<Region> changed_;
};

}  // namespace vmm::snapshot
