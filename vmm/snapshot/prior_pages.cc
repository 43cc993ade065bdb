#include "vmm/snapshot/prior_pages.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace vmm::snapshot {
uvm::Result<PriorPages> PriorPages::create(std::vector<MemoryRegion> changed) {
  PriorPages pages;
  for (const MemoryRegion& run : changed) {
    if (pages.views_.contains(run.object.get())) continue;
    UVMM_TRY(auto view, ept::host::SharedView::of_file(run.object->fd(), run.object->size()));
    pages.views_.emplace(run.object.get(), std::move(view));
  }
  pages.changed_ = std::move(changed);
  return pages;
}

std::optional<MemoryRegion> PriorPages::find(uvm::Gpa page, std::span<const std::byte> bytes) const {
  const auto run = std::ranges::partition_point(
      changed_, [&](const MemoryRegion& one) { return one.range.end() <= page; });
  if (run == changed_.end() || !run->range.contains(page)) return std::nullopt;
  const MemoryRegion there = run->part(uvm::GpaRange::page_of(page));
  const auto held = views_.at(there.object.get()).bytes().subspan(there.offset, uvm::kPageSize);
  if (std::memcmp(held.data(), bytes.data(), uvm::kPageSize) != 0) return std::nullopt;
  return there;
}

std::uint64_t PriorPages::keep_worthwhile() {
  std::vector<std::pair<std::uint64_t, const ept::host::Backing*>> best;
  for (const auto& [object, found] : found_) {
    if (found * kOneIn * uvm::kPageSize >= held_by(*object)) best.emplace_back(found, object);
  }
  std::ranges::sort(best, std::greater<>());
  best.resize(std::min(best.size(), kMostObjects));
  std::erase_if(changed_, [&best](const MemoryRegion& run) {
    return std::ranges::find(best, run.object.get(), [](const auto& one) { return one.second; }) ==
           best.end();
  });
  std::uint64_t pages = 0;
  for (const auto& [found, object] : best) pages += found;
  return pages;
}

RememberedPages::RememberedPages(const MemoryImage& image) {
  std::map<MemoryObject, std::size_t> numbers;
  runs_.reserve(image.changed.size());
  for (const MemoryRegion& run : image.changed) {
    const auto [known, is_new] = numbers.try_emplace(run.object, objects_.size());
    if (is_new) objects_.emplace_back(run.object);
    runs_.push_back({run.range, known->second, run.offset});
  }
}

std::vector<MemoryObject> RememberedPages::objects() const {
  std::vector<MemoryObject> objects;
  for (const auto& object : objects_) add_object(objects, object.lock());
  return objects;
}

std::vector<MemoryRegion> RememberedPages::alive() const {
  std::vector<MemoryObject> locked;
  for (const auto& object : objects_) locked.push_back(object.lock());
  std::vector<MemoryRegion> alive;
  for (const Run& run : runs_) {
    if (locked[run.object]) alive.push_back({run.range, locked[run.object], run.offset});
  }
  return alive;
}

}  // namespace vmm::snapshot
