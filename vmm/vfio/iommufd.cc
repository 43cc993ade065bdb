#include "vmm/vfio/iommufd.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "vmm/kvm/ioctl.h"
#include "vmm/vfio/iommufd_calls.h"

namespace vmm::vfio {

using kvm::call;
using uvm::Error;
using uvm::ErrorKind;

namespace {

constexpr const char* kFile = "/dev/iommu";

}  // namespace

uvm::Result<std::unique_ptr<Iommufd>> Iommufd::open() {
  Fd fd(::open(kFile, O_RDWR | O_CLOEXEC));
  if (!fd) return Error::from_errno(errno, kFile, "modprobe iommufd");
  iommufd_calls::Allocate request;
  if (call(fd.get(), iommufd_calls::kAllocate, &request) < 0) {
    return Error::from_errno(errno, std::string(kFile) + ": an I/O address space");
  }
  return std::unique_ptr<Iommufd>(new Iommufd(std::move(fd), request.space));
}

bool Iommufd::can_open(std::span<const HostDevice> devices) {
  return std::ranges::all_of(
      devices, [](const HostDevice& each) { return ::access(each.file.c_str(), R_OK | W_OK) == 0; });
}

uvm::Result<Device> Iommufd::open_device(const HostDevice& device) {
  const std::string name = "PCI device " + to_string(device.address);
  const std::string& path = device.file.native();
  Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return Error::from_errno(errno, path, "chown it to the user that runs uvmm");
  iommufd_calls::Bind bind;
  bind.iommufd = fd_.get();
  if (call(fd.get(), iommufd_calls::kBind, &bind) < 0) {
    switch (errno) {
      case EBUSY:
      case EINVAL:  // the file has been bound already
        return Error(ErrorKind::Busy, name + ", or another of its IOMMU group, is in use by another process",
                     "`fuser " + path + " /dev/vfio/" + std::to_string(device.group) + "` may name it");
      case EPERM:
        return unsafe_interrupts("iommufd");
      default:
        return Error::from_errno(errno, name + ": binding it to " + kFile);
    }
  }
  iommufd_calls::Attach attach;
  attach.space = space_;
  if (call(fd.get(), iommufd_calls::kAttach, &attach) < 0) {
    if (errno == EPERM) return unsafe_interrupts("iommufd");
    if (errno == EBUSY) {
      return Error(ErrorKind::Busy, name + ": other devices of its IOMMU group are in use",
                   "bind all in /sys/kernel/iommu_groups/" + std::to_string(device.group) +
                       "/devices to vfio-pci, or to no driver");
    }
    return Error::from_errno(errno, name + ": attaching it to an I/O address space");
  }
  return Device::adopt(std::move(fd), name);
}

uvm::Status Iommufd::map(uvm::GpaRange range, std::span<std::byte> bytes) {
  iommufd_calls::Map request;
  request.flags = iommufd_calls::kAtThisAddress | iommufd_calls::kReadable | iommufd_calls::kWritable;
  request.space = space_;
  request.address = reinterpret_cast<std::uintptr_t>(bytes.data());
  request.bytes = range.size();
  request.io_address = range.begin().value();
  if (call(fd_.get(), iommufd_calls::kMap, &request) < 0) return cannot_map(errno, range);
  return uvm::ok();
}

void Iommufd::unmap(uvm::GpaRange range) {
  iommufd_calls::Unmap request;
  request.space = space_;
  request.io_address = range.begin().value();
  request.bytes = range.size();
  // Fails only for ranges that were never mapped.
  (void)call(fd_.get(), iommufd_calls::kUnmap, &request);
}

}  // namespace vmm::vfio
