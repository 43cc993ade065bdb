#include "vmm/vfio/container.h"

#include <cerrno>
#include <string>
#include <utility>

#include "vmm/vfio/iommufd.h"
#include "vmm/vfio/memlock.h"
#include "vmm/vfio/type1.h"

namespace vmm::vfio {

using uvm::Error;
using uvm::ErrorKind;

uvm::Result<std::unique_ptr<Container>> Container::open(std::span<const HostDevice> devices) {
  if (Iommufd::can_open(devices)) {
    if (auto opened = Iommufd::open()) return std::unique_ptr<Container>(*std::move(opened));
  }
  return Type1::open();
}

uvm::Error Container::cannot_map(int number, uvm::GpaRange range) {
  if (number == ENOMEM) {
    if (auto limit = memlock_error(range.size())) return *std::move(limit);
  }
  std::string what = "guest memory " + uvm::to_string(range) + " for DMA";
  switch (number) {
    case EINVAL:
      return {ErrorKind::Invalid, what + ": the IOMMU does not reach there",
              "give the guest less memory (dmesg of the host tells the IOMMU's address width)"};
    case EEXIST:
      return {ErrorKind::Busy, what + ": mapped already"};
    default:
      return Error::from_errno(number, std::move(what));
  }
}

uvm::Error Container::unsafe_interrupts(const char* module) {
  return {ErrorKind::Permission, "the host's IOMMU does not check interrupts, so a device could forge them",
          "turn interrupt remapping on in the firmware, or take the risk with allow_unsafe_interrupts=1 of "
          "module " +
              std::string(module)};
}

}  // namespace vmm::vfio
