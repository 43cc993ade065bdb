#include "vmm/snapshot/image_layout.h"

#include <algorithm>
#include <optional>
#include <string>

#include "uvm/base/runs.h"
#include "vmm/snapshot/field_lists.h"

namespace vmm::snapshot {
namespace {

constexpr std::size_t kMostRanges = std::size_t{1} << 24;

uvm::Error wrong(const std::string& why) {
  return {uvm::ErrorKind::Invalid, "machine state: section memory: " + why,
          "take it from a whole snapshot of this uvmm"};
}

std::uint64_t number_of(const MemoryObject& object, std::vector<MemoryObject>& objects) {
  if (!object) return 0;
  const auto found = std::ranges::find(objects, object);
  if (found != objects.end()) return static_cast<std::uint64_t>(found - objects.begin()) + 1;
  objects.push_back(object);
  return objects.size();
}

/// Whole pages behind `after`, or nothing.
std::optional<uvm::GpaRange> range_behind(uvm::Gpa after, std::uint64_t begin, std::uint64_t bytes) {
  const auto range = uvm::GpaRange::from_size(uvm::Gpa(begin), bytes);
  if (!range || range->empty() || !range->is_page_aligned() || range->begin() < after) return std::nullopt;
  return range;
}

}  // namespace

ImageLayout::ImageLayout(const MemoryImage& image, std::vector<MemoryObject>& objects) {
  const auto add = [&objects](std::vector<Region>& to, const MemoryRegion& region) {
    to.push_back({region.range.begin().value(), region.range.size(), region.offset,
                  number_of(region.object, objects)});
  };
  for (const MemoryRegion& region : image.regions) add(regions_, region);
  for (const MemoryRegion& run : image.changed) add(changed_, run);
  objects_ = static_cast<std::uint32_t>(objects.size());
}

ImageLayout ImageLayout::of_file(const MemoryImage& image) {
  ImageLayout layout;
  layout.objects_ = 1;
  for (const MemoryRegion& region : image.regions) {
    const std::uint64_t begin = region.range.begin().value();
    if (!layout.regions_.empty() && layout.regions_.back().begin + layout.regions_.back().bytes == begin) {
      layout.regions_.back().bytes += region.range.size();
    } else {
      layout.regions_.push_back({begin, region.range.size(), begin, 1});
    }
  }
  return layout;
}

ImageLayout ImageLayout::of_delta(const MemoryImage& image, const std::vector<uvm::GpaRange>& own) {
  ImageLayout layout;
  layout.objects_ = kDeltaObjects;
  const auto add = [&layout](uvm::GpaRange range, std::uint64_t object) {
    const std::uint64_t begin = range.begin().value();
    if (!range.empty()) layout.regions_.push_back({begin, range.size(), begin, object});
  };
  auto next = own.begin();
  for (uvm::GpaRange rest : covered_by(image.regions)) {
    for (; next != own.end() && next->overlaps(rest); ++next) {
      add(rest.before(next->begin()), 2);
      add(*next, 1);
      rest = rest.from(next->end());
    }
    add(rest, 2);
  }
  return layout;
}

uvm::Result<std::vector<MemoryRegion>> ImageLayout::own_regions(const MemoryObject& file,
                                                                const std::vector<uvm::GpaRange>& ram) const {
  std::vector<MemoryRegion> own;
  std::vector<uvm::GpaRange> covered;
  uvm::Gpa behind(0);
  for (const Region& region : regions_) {
    const auto range = range_behind(behind, region.begin, region.bytes);
    const bool is_own = region.object == 1;
    const bool fits = !is_own || (region.offset % uvm::kPageSize == 0 && region.offset <= file->size() &&
                                  region.bytes <= file->size() - region.offset);
    if (!range || !fits || region.object == 0 || region.object > kDeltaObjects) {
      return wrong("region " + uvm::hex(region.begin) + " is impossible");
    }
    append_run(covered, *range);
    if (is_own) own.push_back({*range, file, region.offset});
    behind = range->end();
  }
  if (covered != ram || !changed_.empty()) return wrong("not the RAM of what it builds on");
  return own;
}

void ImageLayout::state(devices::StateFields& fields) {
  fields.field(objects_);
  list(fields, regions_, kMostRanges, "regions");
  if (fields.version() == 1) return read_dense(fields);
  list(fields, changed_, kMostRanges, "changed pages");
}

void ImageLayout::read_dense(devices::StateFields& fields) {
  std::vector<DenseRun> runs;
  std::uint64_t object = 0;
  list(fields, runs, kMostRanges, "changed pages");
  fields.field(object);
  changed_.clear();
  std::uint64_t offset = 0;
  for (const DenseRun& run : runs) {
    changed_.push_back({run.begin, run.bytes, offset, object});
    offset += run.bytes;
  }
}

uvm::Result<MemoryObject> ImageLayout::object_of(std::uint64_t number,
                                                 std::span<const MemoryObject> objects) const {
  if (number == 0) return MemoryObject();
  if (number > objects.size()) {
    return wrong("object " + std::to_string(number) + " of " + std::to_string(objects.size()));
  }
  return objects[number - 1];
}

uvm::Result<MemoryImage> ImageLayout::resolve(std::span<const MemoryObject> objects) const {
  const auto resolved = [&](const std::vector<Region>& regions,
                            const char* what) -> uvm::Result<std::vector<MemoryRegion>> {
    std::vector<MemoryRegion> found;
    uvm::Gpa behind(0);
    for (const Region& region : regions) {
      UVMM_TRY(const MemoryObject object, object_of(region.object, objects));
      const auto range = range_behind(behind, region.begin, region.bytes);
      const bool fits = !object || (region.offset % uvm::kPageSize == 0 && region.offset <= object->size() &&
                                    region.bytes <= object->size() - region.offset);
      if (!range || !fits) return wrong(what + uvm::hex(region.begin) + " is impossible");
      found.push_back({*range, object, object ? region.offset : 0});
      behind = range->end();
    }
    return found;
  };
  MemoryImage image;
  UVMM_TRY(image.regions, resolved(regions_, "region "));
  UVMM_TRY(image.changed, resolved(changed_, "run of changed pages at "));
  if (std::ranges::any_of(image.changed, [](const MemoryRegion& run) { return !run.object; })) {
    return wrong("changed pages are missing");
  }
  return image;
}

}  // namespace vmm::snapshot
