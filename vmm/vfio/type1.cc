#include "vmm/vfio/type1.h"

#include <fcntl.h>
#include <linux/vfio.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "vmm/kvm/ioctl.h"

namespace vmm::vfio {

using kvm::call;
using uvm::Error;
using uvm::ErrorKind;

namespace {

constexpr const char* kContainer = "/dev/vfio/vfio";

std::string group_path(std::uint32_t number) {
  return "/dev/vfio/" + std::to_string(number);
}

Error cannot_open_group(int number, const std::string& path) {
  switch (number) {
    case EBUSY:
      return {ErrorKind::Busy, path + " is in use by another process", "`fuser " + path + "` names it"};
    case EACCES:
    case EPERM:
      return {ErrorKind::Permission, "no permission to open " + path, "chown it to the user that runs uvmm"};
    default:
      return Error::from_errno(number, path, "modprobe vfio-pci, and bind the device to it");
  }
}

}  // namespace

uvm::Result<std::unique_ptr<Container>> Type1::open() {
  Fd fd(::open(kContainer, O_RDWR | O_CLOEXEC));
  if (!fd) return Error::from_errno(errno, kContainer, "modprobe vfio-pci; the host needs an IOMMU");
  if (call(fd.get(), VFIO_GET_API_VERSION, 0) != VFIO_API_VERSION ||
      call(fd.get(), VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) <= 0) {
    return Error(ErrorKind::Unsupported, std::string(kContainer) + " knows no type 1 IOMMU",
                 "modprobe vfio_iommu_type1");
  }
  return std::unique_ptr<Container>(new Type1(std::move(fd)));
}

uvm::Result<const Type1::Group*> Type1::group(std::uint32_t number) {
  const auto known = std::ranges::find(groups_, number, &Group::number);
  if (known != groups_.end()) return &*known;
  const std::string path = group_path(number);
  Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return cannot_open_group(errno, path);
  vfio_group_status status{};
  status.argsz = sizeof(status);
  if (call(fd.get(), VFIO_GROUP_GET_STATUS, &status) < 0) return Error::from_errno(errno, path);
  if ((status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0) {
    return Error(ErrorKind::Busy, path + ": other devices of this IOMMU group are in use by the host",
                 "bind all in /sys/kernel/iommu_groups/" + std::to_string(number) +
                     "/devices to vfio-pci, or to no driver");
  }
  int container = fd_.get();
  if (call(fd.get(), VFIO_GROUP_SET_CONTAINER, &container) < 0) {
    return Error::from_errno(errno, path + ": joining the container");
  }
  groups_.push_back({number, std::move(fd)});
  if (groups_.size() == 1) {
    if (auto chosen = choose_iommu(); !chosen) {
      groups_.clear();
      return std::move(chosen).error();
    }
  }
  return &groups_.back();
}

uvm::Status Type1::choose_iommu() {
  if (call(fd_.get(), VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0) return uvm::ok();
  if (errno == EPERM) {
    return unsafe_interrupts("vfio_iommu_type1");
  }
  return Error::from_errno(errno, "VFIO_SET_IOMMU");
}

uvm::Result<Device> Type1::open_device(const HostDevice& device) {
  UVMM_TRY(const Group* const its, group(device.group));
  const std::string address = to_string(device.address);
  Fd fd(call(its->fd.get(), VFIO_GROUP_GET_DEVICE_FD, address.c_str()));
  if (!fd) {
    return Error::from_errno(errno, "opening PCI device " + address,
                             "bind it to vfio-pci; dmesg of the host may say more");
  }
  return Device::adopt(std::move(fd), "PCI device " + address);
}

uvm::Status Type1::map(uvm::GpaRange range, std::span<std::byte> bytes) {
  vfio_iommu_type1_dma_map request{};
  request.argsz = sizeof(request);
  request.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
  request.vaddr = reinterpret_cast<std::uintptr_t>(bytes.data());
  request.iova = range.begin().value();
  request.size = range.size();
  if (call(fd_.get(), VFIO_IOMMU_MAP_DMA, &request) < 0) return cannot_map(errno, range);
  return uvm::ok();
}

void Type1::unmap(uvm::GpaRange range) {
  vfio_iommu_type1_dma_unmap request{};
  request.argsz = sizeof(request);
  request.iova = range.begin().value();
  request.size = range.size();
  // Fails only for ranges that were never mapped.
  (void)call(fd_.get(), VFIO_IOMMU_UNMAP_DMA, &request);
}

}  // namespace vmm::vfio
