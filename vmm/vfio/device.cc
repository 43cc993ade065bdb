#include "vmm/vfio/device.h"

#include <linux/vfio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "uvm/base/range.h"
#include "vmm/kvm/ioctl.h"

namespace vmm::vfio {

using kvm::call;
using uvm::Error;
using uvm::ErrorKind;

namespace {

/// vfio_region_info followed by its capabilities.
using InfoBytes = std::vector<std::byte>;

template <class T>
T take(const InfoBytes& bytes, std::size_t at) {
  T value{};
  if (at <= bytes.size() && sizeof(T) <= bytes.size() - at) std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

/// The areas that the capability lists; without one the whole region can be mapped.
std::vector<MappableArea> sparse_areas(const InfoBytes& bytes, const vfio_region_info& info) {
  std::size_t at = (info.flags & VFIO_REGION_INFO_FLAG_CAPS) != 0 ? info.cap_offset : 0;
  while (at != 0) {
    const auto header = take<vfio_info_cap_header>(bytes, at);
    if (header.id == VFIO_REGION_INFO_CAP_SPARSE_MMAP) break;
    at = header.next > at ? header.next : 0;
  }
  if (at == 0) return {{0, info.size}};
  std::vector<MappableArea> areas;
  const auto count = take<std::uint32_t>(bytes, at + offsetof(vfio_region_info_cap_sparse_mmap, nr_areas));
  at += offsetof(vfio_region_info_cap_sparse_mmap, areas);
  for (std::uint32_t i = 0; i < count; ++i, at += sizeof(vfio_region_sparse_mmap_area)) {
    if (at + sizeof(vfio_region_sparse_mmap_area) > bytes.size()) break;
    const auto area = take<vfio_region_sparse_mmap_area>(bytes, at);
    areas.push_back({area.offset, area.size});
  }
  return areas;
}

}  // namespace

uvm::Result<Device> Device::adopt(Fd fd, std::string name) {
  Device device(std::move(fd), std::move(name));
  vfio_device_info info{};
  info.argsz = sizeof(info);
  if (call(device.fd_.get(), VFIO_DEVICE_GET_INFO, &info) < 0) {
    return Error::from_errno(errno, device.name_ + ": VFIO_DEVICE_GET_INFO");
  }
  if ((info.flags & VFIO_DEVICE_FLAGS_PCI) == 0) {
    return Error(ErrorKind::Unsupported, device.name_ + " is no PCI device");
  }
  device.can_reset_ = (info.flags & VFIO_DEVICE_FLAGS_RESET) != 0;
  return device;
}

uvm::Status Device::reset() {
  if (call(fd_.get(), VFIO_DEVICE_RESET, 0) < 0) return Error::from_errno(errno, name_ + ": reset");
  return uvm::ok();
}

uvm::Result<Region> Device::region(std::uint32_t index) const {
  InfoBytes bytes(sizeof(vfio_region_info));
  vfio_region_info info{};
  // The first call says how many bytes the capabilities take.
  for (int round = 0; round < 2; ++round) {
    info = {};
    info.argsz = static_cast<std::uint32_t>(bytes.size());
    info.index = index;
    std::memcpy(bytes.data(), &info, sizeof(info));
    if (call(fd_.get(), VFIO_DEVICE_GET_REGION_INFO, bytes.data()) < 0) {
      if (errno == EINVAL) return Region{index, 0, 0, false, false, {}};
      return Error::from_errno(errno, name_ + ": VFIO_DEVICE_GET_REGION_INFO of " + std::to_string(index));
    }
    info = take<vfio_region_info>(bytes, 0);
    if (info.argsz <= bytes.size()) break;
    bytes.resize(info.argsz);
  }
  Region region{index,
                info.size,
                info.offset,
                (info.flags & VFIO_REGION_INFO_FLAG_READ) != 0,
                (info.flags & VFIO_REGION_INFO_FLAG_WRITE) != 0,
                {}};
  if ((info.flags & VFIO_REGION_INFO_FLAG_MMAP) != 0 && info.size != 0) {
    region.areas = sparse_areas(bytes, info);
  }
  return region;
}

uvm::Status Device::read(const Region& region, std::uint64_t at, std::span<std::byte> data) const {
  const std::string what = name_ + ": reading region " + std::to_string(region.index) + " at " + uvm::hex(at);
  if (at > region.bytes || data.size() > region.bytes - at)
    return Error(ErrorKind::Invalid, what + ": past its end");
  const ssize_t done = ::pread(fd_.get(), data.data(), data.size(), static_cast<off_t>(region.offset + at));
  if (done < 0) return Error::from_errno(errno, what);
  if (static_cast<std::size_t>(done) != data.size()) return Error(ErrorKind::System, what + ": cut short");
  return uvm::ok();
}

uvm::Status Device::write(const Region& region, std::uint64_t at, std::span<const std::byte> data) const {
  const std::string what = name_ + ": writing region " + std::to_string(region.index) + " at " + uvm::hex(at);
  if (at > region.bytes || data.size() > region.bytes - at)
    return Error(ErrorKind::Invalid, what + ": past its end");
  const ssize_t done = ::pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(region.offset + at));
  if (done < 0) return Error::from_errno(errno, what);
  if (static_cast<std::size_t>(done) != data.size()) return Error(ErrorKind::System, what + ": cut short");
  return uvm::ok();
}

uvm::Result<std::uint32_t> Device::irq_count(std::uint32_t index) const {
  vfio_irq_info info{};
  info.argsz = sizeof(info);
  info.index = index;
  if (call(fd_.get(), VFIO_DEVICE_GET_IRQ_INFO, &info) < 0) {
    if (errno == EINVAL) return 0U;
    return Error::from_errno(errno, name_ + ": VFIO_DEVICE_GET_IRQ_INFO of " + std::to_string(index));
  }
  return (info.flags & VFIO_IRQ_INFO_EVENTFD) != 0 ? info.count : 0U;
}

uvm::Status Device::connect_irqs(std::uint32_t index, std::span<const int> events) {
  std::vector<std::uint32_t> words((sizeof(vfio_irq_set) + events.size_bytes()) / sizeof(std::uint32_t));
  vfio_irq_set request{};
  request.argsz = static_cast<std::uint32_t>(words.size() * sizeof(std::uint32_t));
  request.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
  request.index = index;
  request.count = static_cast<std::uint32_t>(events.size());
  std::memcpy(words.data(), &request, sizeof(request));
  std::memcpy(words.data() + sizeof(request) / sizeof(std::uint32_t), events.data(), events.size_bytes());
  disconnect_irqs(index);
  if (call(fd_.get(), VFIO_DEVICE_SET_IRQS, words.data()) < 0) {
    return Error::from_errno(errno, name_ + ": connecting " + std::to_string(events.size()) +
                                        " interrupts of kind " + std::to_string(index));
  }
  return uvm::ok();
}

uvm::Status Device::unmask_irq(std::uint32_t index) {
  vfio_irq_set request{};
  request.argsz = sizeof(request);
  request.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK;
  request.index = index;
  request.count = 1;
  if (call(fd_.get(), VFIO_DEVICE_SET_IRQS, &request) < 0) {
    return Error::from_errno(errno, name_ + ": unmasking the interrupt of kind " + std::to_string(index));
  }
  return uvm::ok();
}

void Device::disconnect_irqs(std::uint32_t index) {
  vfio_irq_set request{};
  request.argsz = sizeof(request);
  request.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
  request.index = index;
  // Refused when the kind is off, which is what is wanted.
  (void)call(fd_.get(), VFIO_DEVICE_SET_IRQS, &request);
}

}  // namespace vmm::vfio
