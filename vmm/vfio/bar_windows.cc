#include "vmm/vfio/bar_windows.h"

#include <algorithm>
#include <utility>

#include "uvm/base/units.h"
#include "vmm/log.h"

namespace vmm::vfio {
namespace {

constexpr std::uint64_t kPageMask = uvm::kPageSize - 1;

/// Adds the whole pages of [begin, end).
void add_pages(std::vector<MappableArea>& areas, std::uint64_t begin, std::uint64_t end) {
  begin = (begin + kPageMask) & ~kPageMask;
  end &= ~kPageMask;
  if (begin < end) areas.push_back({begin, end - begin});
}

}  // namespace

std::vector<MappableArea> areas_to_show(const std::vector<MappableArea>& areas,
                                        const std::vector<MappableArea>& trapped) {
  std::vector<MappableArea> shown;
  for (const MappableArea& area : areas) {
    std::uint64_t begin = area.offset;
    const std::uint64_t end = area.offset + area.bytes;
    for (const MappableArea& hole : trapped) {
      if (hole.bytes == 0 || hole.offset >= end || hole.offset + hole.bytes <= begin) continue;
      add_pages(shown, begin, hole.offset);
      begin = std::min(end, (hole.offset + hole.bytes + kPageMask) & ~kPageMask);
    }
    add_pages(shown, begin, end);
  }
  return shown;
}

uvm::Result<BarWindows> BarWindows::create(const Device& device, const Region& region,
                                           const std::vector<MappableArea>& areas, GuestWindows& windows) {
  BarWindows bar(windows);
  for (const MappableArea& area : areas) {
    UVMM_TRY(auto mapping, RegionMapping::create(device, region, area));
    bar.pieces_.push_back({std::move(mapping), nullptr});
  }
  return bar;
}

void BarWindows::move_to(std::optional<std::uint64_t> gpa) {
  for (Piece& piece : pieces_) {
    piece.window.reset();
    if (!gpa) continue;
    const auto bytes = piece.mapping.bytes();
    const auto range = uvm::GpaRange::from_size(uvm::Gpa(*gpa + piece.mapping.area().offset), bytes.size());
    if (!range) continue;
    auto window = windows_->show(*range, bytes);
    if (window) {
      piece.window = *std::move(window);
    } else {
      log::event(log::Level::Warning, "registers of a device are slow: each access is an exit",
                 {{"error", window.error().text()}});
    }
  }
}

std::uint64_t BarWindows::shown_bytes() const {
  std::uint64_t bytes = 0;
  for (const Piece& piece : pieces_) {
    if (piece.window) bytes += piece.mapping.bytes().size();
  }
  return bytes;
}

}  // namespace vmm::vfio
