// GuestMemory, second part: its contents at one moment, mapped and brought back.
#include <fcntl.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "uvm/access.h"
#include "uvm/base/runs.h"
#include "vmm/machine/guest_memory.h"
#include "vmm/machine/memory_chunks.h"

namespace vmm {
namespace {

using snapshot::add_object;
using snapshot::ImageView;
using snapshot::MemoryImage;
using snapshot::MemoryObject;
using snapshot::MemoryRegion;

/// A block of deferred pages costs an event when it is touched, 50 microseconds; a page that is copied 3.
constexpr std::uint64_t kCopiedAtOnce = 32;

/// Each block that was touched is a host mapping of its own, of which a process has no more than 65530.
constexpr std::uint64_t kMostBlocks = 4096;

/// Bytes that are made together when the guest comes near, of `ram` bytes.
constexpr std::uint64_t block_of(std::uint64_t ram) {
  return std::max(uvm::kLargePageSize, std::bit_ceil(ram / kMostBlocks));
}

/// Errors: Invalid (regions that are not just all of RAM, changed pages outside of it).
uvm::Status check_covers(const std::vector<uvm::GpaRange>& ram, const MemoryImage& image) {
  const auto is_ram = [&ram](const uvm::GpaRange& run) {
    return std::ranges::any_of(ram, [&run](const uvm::GpaRange& range) { return range.contains(run); });
  };
  std::vector<uvm::GpaRange> wanted;
  for (const uvm::GpaRange& range : ram) append_run(wanted, range);
  if (covered_by(image.regions) == wanted && std::ranges::all_of(image.changed, is_ram, &MemoryRegion::range))
    return uvm::ok();
  return uvm::Error(uvm::ErrorKind::Invalid, "machine state: section memory: not the RAM of this machine",
                    "restore it into a machine of the same shape");
}

/// Writes what differs, page by page.
uvm::Status write_differences(uvm::Space& space, const ImageView& image, uvm::GpaRange range) {
  return in_chunks(range, [&](uvm::GpaRange part) -> uvm::Status {
    std::vector<std::byte> wanted(part.size());
    std::vector<std::byte> there(part.size());
    image.read(part.begin(), wanted);
    UVMM_CHECK(uvm::Access::read(space, part.begin(), there, uvm::kDebugger));
    for (std::uint64_t at = 0; at < part.size(); at += uvm::kPageSize) {
      const auto page = std::span(wanted).subspan(at, uvm::kPageSize);
      if (std::memcmp(page.data(), there.data() + at, page.size()) == 0) continue;
      UVMM_CHECK(uvm::Access::write(space, part.begin() + at, page, uvm::kDebuggerShared));
    }
    return uvm::ok();
  });
}

}  // namespace

uvm::Status GuestMemory::each_part(const std::function<uvm::Status(const MemoryRegion& part)>& follows,
                                   const std::function<uvm::Status(uvm::GpaRange range)>& other) const {
  for (const auto& entry : space_->entries()) {
    if (!overlaps_ram(entry.range)) continue;
    const bool simple = entry.name == kRamName && entry.sharing == uvm::Sharing::Private &&
                        entry.anons == 0 && !entry.needs_copy && limit() == 0;
    if (!simple) {
      UVMM_CHECK(other(entry.range));
      continue;
    }
    for (const MemoryRegion& region : regions_) {
      const uvm::GpaRange common = region.range.intersection(entry.range);
      if (!common.empty()) UVMM_CHECK(follows(region.part(common)));
    }
  }
  return uvm::ok();
}

void GuestMemory::note_objects() {
  std::vector<MemoryObject> objects;
  add_object(objects, ram_);
  for (const MemoryRegion& region : regions_) add_object(objects, region.object);
  const uvm::MutexLock lock(objects_mutex_);
  objects_ = std::move(objects);
}

std::vector<MemoryObject> GuestMemory::objects() const {
  const uvm::MutexLock lock(objects_mutex_);
  std::vector<MemoryObject> objects = objects_;
  for (const auto& from : deferred_from_) {
    if (const auto source = from.lock()) add_object(objects, source->object());
  }
  for (const MemoryObject& object : lent_.objects()) add_object(objects, object);
  return objects;
}

uvm::Result<snapshot::PriorPages> GuestMemory::prior_pages() const {
  std::vector<MemoryRegion> alive;
  {
    const uvm::MutexLock lock(objects_mutex_);
    alive = last_image_.alive();
  }
  return snapshot::PriorPages::create(std::move(alive));
}

void GuestMemory::remember(const MemoryImage& image) {
  snapshot::RememberedPages pages(image);
  const uvm::MutexLock lock(objects_mutex_);
  last_image_ = std::move(pages);
  lent_.keep_only(last_image_.objects());
}

uvm::Result<Fd> GuestMemory::lend(const MemoryObject& object) {
  {
    const uvm::MutexLock lock(objects_mutex_);
    const auto last = last_image_.objects();
    if (std::ranges::find(last, object) != last.end()) return lent_.lend(object);
  }
  Fd fd(::fcntl(object->fd(), F_DUPFD_CLOEXEC, 0));
  if (!fd) return uvm::Error::from_errno(errno, "duplicating a descriptor for whoever asks");
  return fd;
}

bool GuestMemory::let_go() {
  const uvm::MutexLock lock(objects_mutex_);
  return lent_.let_go();
}

uvm::Status GuestMemory::reset_to(const ImageView& image) {
  const auto rewrite = [&image](uvm::GpaRange run, std::span<std::byte> bytes) {
    image.read(run.begin(), bytes);
    return uvm::Status();
  };
  const auto status = each_part(
      [&](const MemoryRegion& part) -> uvm::Status {
        for (const MemoryRegion& then : image.image().regions) {
          const uvm::GpaRange common = then.range.intersection(part.range);
          if (common.empty()) continue;
          if (!then.same_memory(part, common)) {
            UVMM_CHECK(write_differences(*space_, image, common));
            continue;
          }
          UVMM_CHECK(pmap_->rewrite_private(common, rewrite));
          UVMM_CHECK(bring_back_discarded(image, common));
        }
        return uvm::ok();
      },
      [&](uvm::GpaRange range) { return write_differences(*space_, image, range); });
  space_->note_written(all_ram());
  return status;
}

/// What was private then is no longer private where the guest has given it back.
uvm::Status GuestMemory::bring_back_discarded(const ImageView& image, uvm::GpaRange common) {
  if (space_->statistics().discarded == 0) return uvm::ok();
  std::vector<uvm::GpaRange> own;
  pmap_->harvest(common, [&](uvm::GpaRange run, uvm::Frame) { own.push_back(run); });
  auto next = own.begin();
  for (const MemoryRegion& run : image.image().changed) {
    for (uvm::GpaRange rest = run.range.intersection(common); !rest.empty();) {
      while (next != own.end() && next->end() <= rest.begin()) ++next;
      const bool is_there = next != own.end() && next->begin() <= rest.begin();
      if (is_there) {
        rest = rest.from(next->end());
        continue;
      }
      const uvm::GpaRange gone = next != own.end() ? rest.before(next->begin()) : rest;
      rest = rest.from(gone.end());
      UVMM_CHECK(write_differences(*space_, image, gone));
    }
  }
  return uvm::ok();
}

uvm::Status GuestMemory::map_region(const MemoryRegion& region, uvm::Overlap overlap) {
  uvm::MapRequest request;
  request.range = region.range;
  if (region.object) request.object = uvm::Object::create(region.object);
  request.offset = uvm::ObjectOffset(region.offset);
  request.sharing = uvm::Sharing::Private;
  request.overlap = overlap;
  request.name = kRamName;
  return space_->map(request);
}

uvm::Status GuestMemory::map_image(const MemoryImage& image) {
  UVMM_CHECK(check_covers(request_.ram, image));
  // A mapping of the image would have pages that are there before they are counted, and writes that nobody
  // hears of. build() copies them.
  if (limit() != 0) return map_ram();
  backing_text_ = "an image, copy-on-write";
  std::vector<ChangedRun> to_copy = lay_out(image);
  const std::uint64_t bytes = uvm::bytes_of(to_copy, [](const ChangedRun& run) { return run.pages.range; });
  if (bytes > kCopiedAtOnce * uvm::kPageSize && pmap_->events() != nullptr) {
    // Before anything of their ranges is entered.
    UVMM_CHECK(defer_changed(to_copy));
    std::erase_if(to_copy, [](const ChangedRun& run) { return run.region.object != nullptr; });
  }
  for (const MemoryRegion& region : regions_) UVMM_CHECK(map_region(region, uvm::Overlap::Refuse));
  remember(image);
  if (to_copy.empty()) return uvm::ok();
  UVMM_TRY(const ImageView view, ImageView::create(image));
  for (const ChangedRun& run : to_copy) UVMM_CHECK(copy_changed(view, run.pages.range));
  return uvm::ok();
}

/// Long runs are regions of their own; the others are left, each within one region and one block.
std::vector<GuestMemory::ChangedRun> GuestMemory::lay_out(const MemoryImage& image) {
  std::vector<MemoryRegion> over;
  std::vector<MemoryRegion> others;
  for (const MemoryRegion& run : image.changed) {
    const bool is_mapped = run.range.pages() >= snapshot::kMapFrom &&
                           image.regions.size() + over.size() < snapshot::kMostRegions;
    (is_mapped ? over : others).push_back(run);
  }
  regions_ = overlaid(image.regions, over);
  const std::uint64_t block = block_of(uvm::bytes_of(request_.ram));
  std::vector<ChangedRun> runs;
  auto region = regions_.begin();
  for (const MemoryRegion& other : others) {
    for (uvm::GpaRange rest = other.range; !rest.empty();) {
      while (region->range.end() <= rest.begin()) ++region;
      const uvm::Gpa begin(rest.begin().value() / block * block);
      const auto around = uvm::GpaRange::from_size(begin, block)->intersection(region->range);
      const uvm::GpaRange part = rest.before(around.end());
      runs.push_back({other.part(part), region->part(around)});
      rest = rest.from(part.end());
    }
  }
  return runs;
}

uvm::Status GuestMemory::copy_changed(const ImageView& view, uvm::GpaRange run) {
  std::vector<std::byte> bytes(run.size());
  view.read(run.begin(), bytes);
  // The first write to a region is an event and opens all of it; a fault each would take longer than the
  // copy.
  if (pmap_->copy_in_open(run, bytes) == ept::Pmap::Done::Yes) return uvm::ok();
  return uvm::Access::write(*space_, run.begin(), bytes);
}

uvm::Status GuestMemory::defer_changed(std::span<const ChangedRun> runs) {
  std::map<MemoryObject, std::shared_ptr<const ept::DeferredSource>> sources;
  ept::DeferredPages block;
  const auto finish = [&]() -> uvm::Status {
    return block.pages.empty() ? uvm::ok() : pmap_->defer(std::exchange(block, {}));
  };
  for (const auto& [pages, region] : runs) {
    if (region.object == nullptr) continue;
    if (block.range != region.range) {
      UVMM_CHECK(finish());
      block.range = region.range;
      block.base = region.object;
      block.first_page = region.offset >> uvm::kPageShift;
    }
    auto& source = sources[pages.object];
    if (!source) {
      UVMM_TRY(source, ept::DeferredSource::map(pages.object));
      deferred_from_.push_back(source);
    }
    if (std::ranges::find(block.sources, source) == block.sources.end()) block.sources.push_back(source);
    for (std::uint64_t i = 0; i < pages.range.pages(); ++i) {
      block.pages.push_back(
          {pages.range.begin().page() + i, source.get(), (pages.offset >> uvm::kPageShift) + i});
    }
  }
  return finish();
}

}  // namespace vmm
