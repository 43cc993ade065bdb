#include "vmm/snapshot/memory_image.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cstring>

#include "uvm/base/runs.h"

namespace vmm::snapshot {
namespace {

/// The first of ascending, disjoint ranges that ends behind an address.
template <class Iterator, class RangeOf>
Iterator first_behind(Iterator begin, Iterator end, uvm::Gpa address, RangeOf range_of) {
  return std::partition_point(begin, end, [&](const auto& one) { return range_of(one).end() <= address; });
}

}  // namespace

bool all_zeros(std::span<const std::byte> bytes) {
  return bytes.front() == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

std::uint64_t MemoryImage::changed_pages() const {
  return uvm::bytes_of(changed, &MemoryRegion::range) >> uvm::kPageShift;
}

void settle(std::vector<MemoryRegion>& regions, const MemoryObject& object) {
  for (MemoryRegion& region : regions) {
    if (region.object == nullptr) region.object = object;
  }
}

void append_region(std::vector<MemoryRegion>& regions, const MemoryRegion& next) {
  if (!regions.empty()) {
    MemoryRegion& last = regions.back();
    const bool goes_on = last.range.end() == next.range.begin() && last.object == next.object &&
                         last.offset + last.range.size() == next.offset;
    if (goes_on) {
      last.range = *uvm::GpaRange::from_bounds(last.range.begin(), next.range.end());
      return;
    }
  }
  regions.push_back(next);
}

void add_object(std::vector<MemoryObject>& objects, const MemoryObject& object) {
  if (object && std::ranges::find(objects, object) == objects.end()) objects.push_back(object);
}

std::uint64_t held_by(const ept::host::Backing& object) {
  struct stat file {};
  struct statfs system {};
  const bool in_memory = ::fstat(object.fd(), &file) == 0 && ::fstatfs(object.fd(), &system) == 0 &&
                         system.f_type == TMPFS_MAGIC;
  constexpr std::uint64_t kBlock = 512;  // of st_blocks
  return in_memory ? static_cast<std::uint64_t>(file.st_blocks) * kBlock : 0;
}

std::vector<MemoryObject> objects_of(const MemoryImage& image) {
  std::vector<MemoryObject> objects;
  for (const auto* list : {&image.regions, &image.changed}) {
    for (const MemoryRegion& region : *list) {
      add_object(objects, region.object);
    }
  }
  return objects;
}

std::vector<MemoryRegion> without(const std::vector<MemoryRegion>& regions,
                                  std::span<const uvm::GpaRange> ranges) {
  std::vector<MemoryRegion> left;
  left.reserve(regions.size());
  auto next = ranges.begin();
  for (const MemoryRegion& region : regions) {
    uvm::GpaRange rest = region.range;
    while (next != ranges.end() && next->end() <= rest.begin()) ++next;
    for (auto gone = next; gone != ranges.end() && gone->begin() < rest.end(); ++gone) {
      if (const auto low = rest.before(gone->begin()); !low.empty()) left.push_back(region.part(low));
      rest = rest.from(gone->end());
    }
    if (!rest.empty()) left.push_back(region.part(rest));
  }
  return left;
}

std::vector<MemoryRegion> overlaid(const std::vector<MemoryRegion>& base,
                                   const std::vector<MemoryRegion>& over) {
  std::vector<MemoryRegion> all;
  auto next = over.begin();
  for (const MemoryRegion& region : base) {
    uvm::GpaRange rest = region.range;
    while (next != over.end() && next->range.overlaps(rest)) {
      const uvm::GpaRange common = next->range.intersection(rest);
      if (const auto low = rest.before(common.begin()); !low.empty()) all.push_back(region.part(low));
      all.push_back(next->part(common));
      rest = rest.from(common.end());
      if (next->range.end() > region.range.end()) break;
      ++next;
    }
    if (!rest.empty()) all.push_back(region.part(rest));
  }
  return all;
}

std::vector<uvm::GpaRange> covered_by(const std::vector<MemoryRegion>& regions) {
  std::vector<uvm::GpaRange> covered;
  for (const MemoryRegion& region : regions) append_run(covered, region.range);
  return covered;
}

uvm::Status ImageView::map(const MemoryObject& object) {
  if (!object || views_.contains(object.get())) return uvm::ok();
  UVMM_TRY(auto view, ept::host::SharedView::of_file(object->fd(), object->size()));
  views_.emplace(object.get(), std::move(view));
  return uvm::ok();
}

uvm::Result<ImageView> ImageView::create(const MemoryImage& image) {
  ImageView view(image);
  for (const MemoryObject& object : objects_of(image)) UVMM_CHECK(view.map(object));
  return view;
}

void ImageView::read(uvm::Gpa from, std::span<std::byte> to) const {
  const uvm::GpaRange range = *uvm::GpaRange::from_size(from, to.size());
  const auto& runs = image_.changed;
  const auto bytes_at = [&](uvm::GpaRange part) { return to.subspan(part.begin() - from, part.size()); };
  uvm::GpaRange rest = range;
  auto run = first_behind(runs.begin(), runs.end(), from, [](const MemoryRegion& one) { return one.range; });
  for (; run != runs.end() && run->range.begin() < range.end(); ++run) {
    const uvm::GpaRange part = run->range.intersection(range);
    read_regions(rest.before(part.begin()), bytes_at(rest.before(part.begin())));
    const auto pages = views_.at(run->object.get()).bytes();
    std::memcpy(bytes_at(part).data(), pages.data() + run->part(part).offset, part.size());
    rest = rest.from(part.end());
  }
  if (!rest.empty()) read_regions(rest, bytes_at(rest));
}

void ImageView::read_regions(uvm::GpaRange range, std::span<std::byte> to) const {
  if (range.empty()) return;
  const auto& regions = image_.regions;
  auto region = first_behind(regions.begin(), regions.end(), range.begin(),
                             [](const MemoryRegion& one) { return one.range; });
  for (; region != regions.end() && region->range.begin() < range.end(); ++region) {
    const uvm::GpaRange part = region->range.intersection(range);
    const auto target = to.subspan(part.begin() - range.begin(), part.size());
    if (!region->object) {
      std::ranges::fill(target, std::byte{0});
      continue;
    }
    std::memcpy(target.data(), views_.at(region->object.get()).bytes().data() + region->part(part).offset,
                part.size());
  }
}

}  // namespace vmm::snapshot
