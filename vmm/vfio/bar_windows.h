// What of a BAR the guest reaches without an exit, wherever it puts the BAR.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "vmm/vfio/guest_windows.h"
#include "vmm/vfio/region_mapping.h"

namespace vmm::vfio {

/// The areas of a region that can be mapped, without the pages of those that have to be trapped: `areas` and
/// `trapped` ascend, whole pages result. Bytes from the region's begin.
[[nodiscard]] std::vector<MappableArea> areas_to_show(const std::vector<MappableArea>& areas,
                                                      const std::vector<MappableArea>& trapped);

/// Thread: one at a time; a function guards it with its lock.
class BarWindows {
 public:
  /// Maps the areas into this process. Errors: those of RegionMapping.
  [[nodiscard]] static uvm::Result<BarWindows> create(const Device& device, const Region& region,
                                                      const std::vector<MappableArea>& areas,
                                                      GuestWindows& windows);

  /// The BAR begins at `gpa` from now on; nullopt: it is nowhere.
  void move_to(std::optional<std::uint64_t> gpa);
  /// Bytes that the guest reaches without an exit, where the BAR is now.
  [[nodiscard]] std::uint64_t shown_bytes() const;

 private:
  struct Piece {
    RegionMapping mapping;
    std::unique_ptr<GuestWindow> window;  // null while it is nowhere, or cannot be shown
  };
  explicit BarWindows(GuestWindows& windows) : windows_(&windows) {}

  GuestWindows* windows_;
  std::vector<Piece> pieces_;
};

}  // namespace vmm::vfio
