#include "vmm/snapshot/memory_image.h"

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
  std::uint64_t pages_in_all = 0;
  for (const uvm::GpaRange& run : changed) pages_in_all += run.pages();
  return pages_in_all;
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
  using ept::host::SharedView;
  UVMM_TRY(SharedView view, SharedView::reserve(object->size()));
  UVMM_CHECK(view.show(0, object->size(), object->fd(), 0, SharedView::Access::Read));
  views_.emplace(object.get(), std::move(view));
  return uvm::ok();
}

uvm::Result<ImageView> ImageView::create(const MemoryImage& image) {
  ImageView view(image);
  for (const MemoryRegion& region : view.image_.regions) UVMM_CHECK(view.map(region.object));
  UVMM_CHECK(view.map(view.image_.pages));
  std::uint64_t offset = 0;
  for (const uvm::GpaRange& run : view.image_.changed) {
    view.offsets_.push_back(offset);
    offset += run.size();
  }
  return view;
}

void ImageView::read(uvm::Gpa from, std::span<std::byte> to) const {
  const uvm::GpaRange range = *uvm::GpaRange::from_size(from, to.size());
  const auto& runs = image_.changed;
  const auto bytes_at = [&](uvm::GpaRange part) { return to.subspan(part.begin() - from, part.size()); };
  uvm::GpaRange rest = range;
  auto run = first_behind(runs.begin(), runs.end(), from, [](const uvm::GpaRange& one) { return one; });
  for (; run != runs.end() && run->begin() < range.end(); ++run) {
    const uvm::GpaRange part = run->intersection(range);
    read_regions(rest.before(part.begin()), bytes_at(rest.before(part.begin())));
    const std::uint64_t offset =
        offsets_[static_cast<std::size_t>(run - runs.begin())] + (part.begin() - run->begin());
    const auto pages = views_.at(image_.pages.get()).bytes();
    std::memcpy(bytes_at(part).data(), pages.data() + offset, part.size());
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
