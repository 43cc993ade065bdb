#include "vmm/devices/pci_window.h"

#include <algorithm>
#include <string>

#include "uvm/base/range.h"
#include "vmm/devices/registers.h"

namespace vmm::devices {

uvm::Result<std::uint64_t> PciWindow::allocate(std::uint64_t bytes) {
  const uvm::ExclusiveLock lock(mutex_);
  const std::uint64_t size = std::max(bytes, grain_);
  const std::uint64_t place = (allocated_ + size - 1) / size * size;
  if (size > end_ - begin_ || place > end_ - size) {
    return uvm::Error(uvm::ErrorKind::NoMemory,
                      "the PCI window " + uvm::hex(begin_) + "-" + uvm::hex(end_) +
                          " has no room for a BAR of " + uvm::hex(bytes) + " bytes",
                      "attach fewer devices");
  }
  allocated_ = place + size;
  return place;
}

bool PciWindow::place(std::uint64_t gpa, std::uint64_t bytes, BusDevice& device) {
  if (gpa < begin_ || gpa >= end_ || bytes > end_ - gpa) return false;
  const uvm::ExclusiveLock lock(mutex_);
  places_.push_back({gpa, gpa + bytes, &device});
  return true;
}

void PciWindow::remove(std::uint64_t gpa, const BusDevice& device) {
  const uvm::ExclusiveLock lock(mutex_);
  std::erase_if(places_, [&](const Place& each) { return each.begin == gpa && each.device == &device; });
}

PciWindow::Place PciWindow::find(std::uint64_t gpa, std::size_t bytes) const {
  const uvm::SharedLock lock(mutex_);
  const auto found = std::ranges::find_if(places_, [&](const Place& each) {
    return each.begin <= gpa && gpa < each.end && bytes <= each.end - gpa;
  });
  return found == places_.end() ? Place{} : *found;
}

void PciWindow::read(std::uint64_t offset, std::span<std::byte> data) {
  const std::uint64_t gpa = begin_ + offset;
  const Place place = find(gpa, data.size());
  if (place.device == nullptr) return fill_ones(data);
  place.device->read(gpa - place.begin, data);
}

void PciWindow::write(std::uint64_t offset, std::span<const std::byte> data) {
  const std::uint64_t gpa = begin_ + offset;
  const Place place = find(gpa, data.size());
  if (place.device != nullptr) place.device->write(gpa - place.begin, data);
}

}  // namespace vmm::devices
