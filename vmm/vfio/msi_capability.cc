#include "vmm/vfio/msi_capability.h"

#include <utility>

#include "vmm/log.h"

namespace vmm::vfio {
namespace {

constexpr std::uint64_t kControl = 2;
constexpr std::uint64_t kAddress = 4;
constexpr std::uint64_t kEnable = 1;
constexpr std::uint64_t kIsWide = 1 << 7;
constexpr std::uint64_t kHasMask = 1 << 8;
constexpr std::uint64_t kAddressBits = 0xffff'fffc;
constexpr std::uint64_t kAll = 0xffff'ffff;

}  // namespace

uvm::Result<MsiCapability> MsiCapability::create(ConfigView& config, std::uint64_t place,
                                                 devices::MsiEvents& events) {
  const std::uint64_t control = config.original(place + kControl, 2) & (kIsWide | kHasMask);
  UVMM_TRY(auto event, events.create_event());
  MsiCapability msi(place, (control & kIsWide) != 0, (control & kHasMask) != 0, std::move(event));
  config.keep(place + kControl, control, kEnable, 2);
  config.keep(place + kAddress, 0, kAddressBits, 4);
  if (msi.is_wide_) config.keep(place + kAddress + 4, 0, kAll, 4);
  config.keep(msi.data_place(), 0, 0xffff, 2);
  if (msi.has_mask_) {
    config.keep(msi.mask_place(), 0, 1, 4);
    config.keep(msi.mask_place() + 4, 0, 0, 4);
  }
  return msi;
}

void MsiCapability::follow(const devices::PciConfigSpace& registers) {
  enabled_ = (registers.get(place_ + kControl, 2) & kEnable) != 0;
  const bool masked = has_mask_ && (registers.get(mask_place(), 4) & 1) != 0;
  if (!enabled_ || masked) {
    event_->hold();
    return;
  }
  const devices::MsiMessage message{registers.get(place_ + kAddress, is_wide_ ? 8 : 4),
                                    static_cast<std::uint32_t>(registers.get(data_place(), 2))};
  if (const auto done = event_->deliver(message); !done) {
    log::event(log::Level::Error, "interrupt of a device cannot be delivered",
               {{"error", done.error().text()}});
  }
}

}  // namespace vmm::vfio
