#include "ept/pin_extents.h"

#include <string>

#include "ept/host/backing.h"

namespace ept {

uvm::Result<std::vector<PinExtent>> extents_of(const uvm::Pin& pin) {
  std::vector<PinExtent> extents;
  for (const uvm::WiredRun& run : pin.runs()) {
    const auto* backing = dynamic_cast<const host::Backing*>(run.first.store);
    if (backing == nullptr) {
      return uvm::Error(uvm::ErrorKind::Unsupported,
                        "pinned range " + uvm::to_string(run.range) + " is private memory of this process",
                        "pin it as shareable");
    }
    const std::uint64_t offset = run.first.index << uvm::kPageShift;
    // Runs end where their object does; the file may go on.
    if (!extents.empty()) {
      PinExtent& last = extents.back();
      if (last.fd == backing->fd() && last.offset + last.range.size() == offset) {
        last.range = *uvm::GpaRange::from_bounds(last.range.begin(), run.range.end());
        continue;
      }
    }
    extents.push_back({run.range, backing->fd(), offset});
  }
  return extents;
}

}  // namespace ept
