#include "vmm/vfio/region_mapping.h"

#include <sys/mman.h>

#include <cerrno>
#include <string>
#include <utility>

#include "uvm/base/range.h"

namespace vmm::vfio {

uvm::Result<RegionMapping> RegionMapping::create(const Device& device, const Region& region,
                                                 const MappableArea& area) {
  int protection = 0;
  if (region.readable) protection |= PROT_READ;
  if (region.writable) protection |= PROT_WRITE;
  void* place = ::mmap(nullptr, area.bytes, protection, MAP_SHARED, device.fd().get(),
                       static_cast<off_t>(region.offset + area.offset));
  if (place == MAP_FAILED) {
    return uvm::Error::from_errno(errno, device.name() + ": mapping region " + std::to_string(region.index) +
                                             " at " + uvm::hex(area.offset) + "+" + uvm::hex(area.bytes));
  }
  return RegionMapping({static_cast<std::byte*>(place), area.bytes}, area);
}

RegionMapping::RegionMapping(RegionMapping&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})), area_(other.area_) {}

RegionMapping& RegionMapping::operator=(RegionMapping&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(area_, other.area_);
  return *this;
}

RegionMapping::~RegionMapping() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

}  // namespace vmm::vfio
