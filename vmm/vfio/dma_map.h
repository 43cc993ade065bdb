// Guest memory that a device may reach: pinned, and in the IOMMU's table.
#pragma once

#include <memory>
#include <span>
#include <utility>

#include "uvm/pin.h"
#include "vmm/vfio/io_space.h"

namespace vmm::vfio {

/// Move-only. Its end takes the ranges out of the I/O space first and unpins then, so that no device ever
/// writes to a page that may move. Must end before the I/O space and the guest's space do.
class DmaMap {
 public:
  /// Pins every range for writing, each page as WIREMAX makes it, and maps it at its guest-physical address.
  /// All or nothing. Errors: those of uvm::Pin::create() and IoSpace::map(); Unsupported (the host cannot
  /// show a range in one piece).
  [[nodiscard]] static uvm::Result<DmaMap> create(uvm::Space& space, IoSpace& io,
                                                  std::span<const uvm::GpaRange> ranges,
                                                  std::shared_ptr<uvm::PinOwner> owner,
                                                  uvm::ForkPolicy policy);

  DmaMap(DmaMap&& other) noexcept;
  DmaMap& operator=(DmaMap&& other) noexcept;
  DmaMap(const DmaMap&) = delete;
  DmaMap& operator=(const DmaMap&) = delete;
  ~DmaMap() { unmap(); }

 private:
  DmaMap(IoSpace& io, uvm::Pin pin) : io_(&io), pin_(std::move(pin)) {}
  [[nodiscard]] uvm::Status map(uvm::Space& space);
  void unmap();

  IoSpace* io_ = nullptr;  // null after a move
  uvm::Pin pin_;
  std::size_t mapped_ = 0;  // the first so many of its ranges are in the I/O space
};

}  // namespace vmm::vfio
