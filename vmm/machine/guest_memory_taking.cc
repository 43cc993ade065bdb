// GuestMemory, third part: an image of its contents is taken.
#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "ept/host/frozen_object.h"
#include "uvm/access.h"
#include "uvm/base/runs.h"
#include "vmm/log.h"
#include "vmm/machine/guest_memory.h"
#include "vmm/machine/memory_chunks.h"

namespace vmm {
namespace {

using snapshot::MemoryImage;
using snapshot::MemoryRegion;
using snapshot::PageCollector;

/// What a guest may write between a look at its private pages and the pause.
constexpr std::uint64_t kMoreOneIn = 8;
constexpr std::uint64_t kFewMore = 16;

/// A page costs a microsecond in the pause; to learn what was written costs milliseconds outside of it.
constexpr std::uint64_t kCopiedAheadFrom = 512;
/// So many pages are left to the pause, or what the guest writes in one round, if that is more.
constexpr std::uint64_t kLeftToPause = 64;
constexpr int kMostRounds = 8;
/// Pages of RAM that there is room for: copied ahead, in all rounds after that, and in the pause.
constexpr std::uint64_t kRoomFor = 3;

/// Counts the private pages of a range, and at `prior` those that it has as they are, while the guest runs.
uvm::Result<std::uint64_t> count_pages(const ept::Pmap& pmap, uvm::GpaRange range,
                                       snapshot::PriorPages& prior) {
  std::uint64_t pages = 0;
  std::array<std::byte, uvm::kPageSize> copy;
  const auto look = [&](uvm::GpaRange run, std::span<const std::byte> bytes) -> uvm::Status {
    pages += run.pages();
    for (std::uint64_t at = 0; at < run.size() && !prior.empty(); at += uvm::kPageSize) {
      UVMM_CHECK(ept::copy_private(copy, bytes.subspan(at, uvm::kPageSize), run));
      if (const auto found = prior.find(run.begin() + at, copy)) prior.count(*found);
    }
    return uvm::ok();
  };
  UVMM_CHECK(in_chunks(range, [&](uvm::GpaRange part) { return pmap.each_private(part, look); }));
  return pages;
}

uvm::Status keep_private(const ept::Pmap& pmap, uvm::GpaRange range, PageCollector& pages) {
  return pmap.each_private(range, [&pages](uvm::GpaRange run, std::span<const std::byte> bytes) {
    return pages.keep(run, bytes);
  });
}

/// The private pages of some runs, as far as they lie in a range; the runs are ascending.
uvm::Status keep_private(const ept::Pmap& pmap, std::span<const uvm::GpaRange> runs, uvm::GpaRange range,
                         PageCollector& pages) {
  auto run = std::ranges::partition_point(
      runs, [&](const uvm::GpaRange& one) { return one.end() <= range.begin(); });
  for (; run != runs.end() && run->begin() < range.end(); ++run) {
    UVMM_CHECK(keep_private(pmap, run->intersection(range), pages));
  }
  return uvm::ok();
}

/// All that is not zero.
uvm::Status keep_bytes(uvm::Space& space, uvm::GpaRange range, PageCollector& pages) {
  return in_chunks(range, [&](uvm::GpaRange part) -> uvm::Status {
    std::vector<std::byte> bytes(part.size());
    UVMM_CHECK(uvm::Access::read(space, part.begin(), bytes, uvm::kDebugger));
    for (std::uint64_t at = 0; at < part.size(); at += uvm::kPageSize) {
      const auto page = std::span(bytes).subspan(at, uvm::kPageSize);
      if (snapshot::all_zeros(page)) continue;
      UVMM_CHECK(pages.keep(uvm::GpaRange::page_of(part.begin() + at), page));
    }
    return uvm::ok();
  });
}

}  // namespace

uvm::Status GuestMemory::check_pins() const {
  for (const uvm::PinInfo& pin : space_->pins()) {
    if (pin.policy == uvm::ForkPolicy::Copy) continue;
    const std::string what = uvm::to_string(pin.range) + " is pinned by " + pin.owner;
    return pin.policy == uvm::ForkPolicy::Refuse
               ? uvm::Error(uvm::ErrorKind::Pinned, what + ", which forbids copies of it", "end that pin")
               : uvm::Error(uvm::ErrorKind::Pinned, what + ", which has to stop first",
                            "have it end the pin");
  }
  return uvm::ok();
}

/// RAM becomes a private mapping of the same pages, which nobody writes any more.
uvm::Status GuestMemory::freeze_ram() {
  UVMM_TRY(auto object, ept::host::FrozenObject::freeze(*ram_, "ram"));
  const std::shared_ptr<ept::host::FrozenObject> frozen = std::move(object);
  std::vector<MemoryRegion> frozen_regions;
  for (const MemoryRegion& region : regions_) {
    frozen_regions.push_back({region.range, frozen, region.range.begin().value()});
  }
  for (const auto& entry : space_->entries()) {
    if (entry.name != kRamName) continue;
    UVMM_CHECK(map_region({entry.range, frozen, entry.range.begin().value()}, uvm::Overlap::Replace));
  }
  regions_ = std::move(frozen_regions);
  ram_.reset();
  note_objects();
  return frozen->seal();
}

/// What is pinned in a shared mapping has its frames in the object itself, which can't be frozen then.
bool GuestMemory::can_freeze() const {
  return ram_ && space_->pins().empty();
}

uvm::GpaRange GuestMemory::all_ram() const {
  return *uvm::GpaRange::from_bounds(request_.ram.front().begin(), request_.ram.back().end());
}

std::vector<MemoryRegion> GuestMemory::followed_parts() const {
  std::vector<MemoryRegion> parts;
  (void)each_part(
      [&](const MemoryRegion& part) {
        parts.push_back(part);
        return uvm::ok();
      },
      [](uvm::GpaRange) { return uvm::ok(); });
  return parts;
}

uvm::Result<GuestMemory::ImageRoom> GuestMemory::prepare_image() {
  const std::uint64_t most = kRoomFor * (uvm::bytes_of(request_.ram) >> uvm::kPageShift);
  if (can_freeze()) {
    UVMM_TRY(auto none, PageCollector::create(most, {}, {}));
    return ImageRoom{std::move(none)};
  }
  UVMM_TRY(snapshot::PriorPages prior, prior_pages());
  std::uint64_t followed = 0;
  std::uint64_t others = 0;
  UVMM_CHECK(each_part(
      [&](const MemoryRegion& part) -> uvm::Status {
        UVMM_TRY(const std::uint64_t found, count_pages(*pmap_, part.range, prior));
        followed += found;
        return uvm::ok();
      },
      [&](uvm::GpaRange range) {
        others += pmap_->residency(range).resident / uvm::kPageSize;
        return uvm::ok();
      }));
  const std::uint64_t now = followed + others - prior.keep_worthwhile();
  const snapshot::PageStore::Expected expected{now + now / kMoreOneIn + kFewMore, host_pages()};
  UVMM_TRY(auto pages, PageCollector::create(most, expected, std::move(prior)));
  ImageRoom room{std::move(pages)};
  if (followed >= kCopiedAheadFrom) UVMM_CHECK(copy_ahead(room));
  return room;
}

uvm::Status GuestMemory::copy_ahead(ImageRoom& room) {
  auto watch = WriteWatch::start(slots_, *space_, all_ram());
  if (!watch) {
    // All is copied in the pause then.
    log::event(log::Level::Debug, "no pages are copied ahead", {{"reason", watch.error().text()}});
    return uvm::ok();
  }
  room.parts = followed_parts();
  for (const MemoryRegion& part : room.parts) {
    UVMM_CHECK(
        in_chunks(part.range, [&](uvm::GpaRange piece) { return keep_private(*pmap_, piece, room.pages); }));
  }
  std::uint64_t last = uvm::bytes_of(request_.ram) >> uvm::kPageShift;
  for (int round = 0; round < kMostRounds; ++round) {
    auto written = watch->take();
    if (!written) return uvm::ok();
    room.written = *std::move(written);
    const std::uint64_t pages = room.written.pages();
    // A guest that writes as fast as it is copied is as far as it will get.
    if (pages <= kLeftToPause || pages > last / 2) break;
    last = pages;
    const auto runs = room.written.runs();
    room.written.clear();
    room.pages.look_again(runs);
    for (const MemoryRegion& part : room.parts) {
      UVMM_CHECK(keep_private(*pmap_, runs, part.range, room.pages));
    }
  }
  room.pages.prepare(room.written.pages() + kLeftToPause);
  room.watch.emplace(*std::move(watch));
  return uvm::ok();
}

uvm::Result<MemoryImage> GuestMemory::take_image(ImageRoom& room) {
  UVMM_CHECK(check_pins());
  if (can_freeze()) UVMM_CHECK(freeze_ram());
  const auto written = written_since(room);
  if (written) {
    room.pages.look_again(*written);
  } else {
    room.pages.start_over();
  }
  MemoryImage image;
  UVMM_CHECK(each_part(
      [&](const MemoryRegion& part) -> uvm::Status {
        image.regions.push_back(part);
        // One look for all of them: a fork of a guest with many scattered pages has no time for one each.
        return written ? keep_private(*pmap_, *written, part.range, room.pages)
                       : keep_private(*pmap_, part.range, room.pages);
      },
      [&](uvm::GpaRange range) {
        image.regions.push_back({range, nullptr, 0});
        return keep_bytes(*space_, range, room.pages);
      }));
  return image;
}

std::optional<std::vector<uvm::GpaRange>> GuestMemory::written_since(ImageRoom& room) const {
  if (!room.watch) return std::nullopt;
  auto written = room.watch->take();
  if (!written || followed_parts() != room.parts) return std::nullopt;
  for (const uvm::GpaRange& run : room.written.runs()) written->add(run);
  return written->runs();
}

}  // namespace vmm
