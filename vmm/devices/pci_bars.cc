#include "vmm/devices/pci_bars.h"

namespace vmm::devices {

PciBars::~PciBars() {
  for (const Slot& slot : slots_) {
    if (slot.gpa) slot.window->remove(*slot.gpa, *slot.device);
  }
}

uvm::Status PciBars::add(PciConfigSpace& config, const PciBar& bar, BusDevice& device) {
  PciWindow* const window = bar.space == BarSpace::Ports ? ports_ : &window_;
  if (window == nullptr) return uvm::Error(uvm::ErrorKind::Unsupported, "there is no place for ports here");
  UVMM_CHECK(config.add_bar(bar));
  UVMM_TRY(const std::uint64_t gpa, window->allocate(bar.bytes));
  config.place_bar(bar.index, gpa);
  slots_.at(bar.index).device = &device;
  slots_.at(bar.index).window = window;
  return uvm::ok();
}

void PciBars::follow(const PciConfigSpace& config) {
  for (unsigned index = 0; index < slots_.size(); ++index) {
    if (slots_[index].device == nullptr) continue;
    const auto wanted = config.bar_address(index);
    if (wanted == slots_[index].wanted) continue;
    slots_[index].wanted = wanted;
    move(index, wanted, config.bar(index)->bytes);
  }
}

void PciBars::move(unsigned index, std::optional<std::uint64_t> to, std::uint64_t bytes) {
  Slot& slot = slots_[index];
  const auto before = slot.gpa;
  if (slot.gpa) slot.window->remove(*slot.gpa, *slot.device);
  slot.gpa.reset();
  if (to && slot.window->place(*to, bytes, *slot.device)) slot.gpa = to;
  if (moved_ && slot.gpa != before) moved_(index, slot.gpa);
}

}  // namespace vmm::devices
