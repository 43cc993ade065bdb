#include "ept/pin_extents.h"

#include <string>

#include "ept/host/backing.h"

namespace ept {

uvm::Result<std::vector<PinExtent>> extents_of(const uvm::Pin& pin) {
  std::vector<PinExtent> extents;
  for (const uvm::GpaRange& range : pin.ranges()) {
    bool joins = false;  // a range's first extent is its own
    for (const uvm::WiredRun& run : pin.runs_of(range)) {
      const auto* backing = dynamic_cast<const host::Backing*>(run.first.store);
      if (backing == nullptr) {
        return uvm::Error(uvm::ErrorKind::Unsupported,
                          "pinned range " + uvm::to_string(run.range) + " is private memory of this process",
                          "pin it as shareable");
      }
      const std::uint64_t offset = run.first.index << uvm::kPageShift;
      // Runs end where their object does; the file may go on.
      if (joins && extents.back().fd == backing->fd() &&
          extents.back().offset + extents.back().range.size() == offset) {
        PinExtent& last = extents.back();
        last.range = *uvm::GpaRange::from_bounds(last.range.begin(), run.range.end());
        continue;
      }
      extents.push_back({run.range, backing->fd(), offset});
      joins = true;
    }
  }
  return extents;
}

}  // namespace ept
