#include "vmm/snapshot/prior_pages.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace vmm::snapshot {
namespace {

/// In memory; an object may have room for more.
std::uint64_t pages_held(const ept::host::Backing& object) {
  struct stat file {};
  if (::fstat(object.fd(), &file) != 0) return object.size() >> uvm::kPageShift;
  constexpr std::uint64_t kBlock = 512;
  return static_cast<std::uint64_t>(file.st_blocks) * kBlock >> uvm::kPageShift;
}

}  // namespace

uvm::Result<PriorPages> PriorPages::create(std::vector<MemoryRegion> changed) {
  using ept::host::SharedView;
  PriorPages pages;
  for (const MemoryRegion& run : changed) {
    if (pages.views_.contains(run.object.get())) continue;
    UVMM_TRY(SharedView view, SharedView::reserve(run.object->size()));
    UVMM_CHECK(view.show(0, run.object->size(), run.object->fd(), 0, SharedView::Access::Read));
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
    if (found * kOneIn >= pages_held(*object)) best.emplace_back(found, object);
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
  runs_.reserve(image.changed.size());
  for (const MemoryRegion& run : image.changed) runs_.push_back({run.range, run.object, run.offset});
}

std::vector<MemoryObject> RememberedPages::objects() const {
  MemoryImage image;
  image.changed = alive();
  return objects_of(image);
}

std::vector<MemoryRegion> RememberedPages::alive() const {
  std::vector<MemoryRegion> alive;
  for (const Run& run : runs_) {
    if (auto object = run.object.lock()) alive.push_back({run.range, std::move(object), run.offset});
  }
  return alive;
}

}  // namespace vmm::snapshot
