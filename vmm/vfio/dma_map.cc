#include "vmm/vfio/dma_map.h"

#include <string>
#include <utility>

#include "uvm/access.h"

namespace vmm::vfio {

uvm::Result<DmaMap> DmaMap::create(uvm::Space& space, IoSpace& io, std::span<const uvm::GpaRange> ranges,
                                   std::shared_ptr<uvm::PinOwner> owner, uvm::ForkPolicy policy) {
  uvm::PinRequest request;
  request.owner = std::move(owner);
  request.policy = policy;
  UVMM_TRY(auto pin, uvm::Pin::create(space, ranges, request));
  DmaMap map(io, std::move(pin));
  UVMM_CHECK(map.map(space));
  return map;
}

DmaMap::DmaMap(DmaMap&& other) noexcept
    : io_(std::exchange(other.io_, nullptr)),
      pin_(std::move(other.pin_)),
      mapped_(std::exchange(other.mapped_, 0)) {}

DmaMap& DmaMap::operator=(DmaMap&& other) noexcept {
  if (this != &other) {
    unmap();
    io_ = std::exchange(other.io_, nullptr);
    pin_ = std::move(other.pin_);
    mapped_ = std::exchange(other.mapped_, 0);
  }
  return *this;
}

uvm::Status DmaMap::map(uvm::Space& space) {
  for (const uvm::GpaRange& range : pin_.ranges()) {
    // The kernel goes to the pages through their translations, and nobody may be there yet to answer an
    // event.
    UVMM_TRY(const auto view, uvm::Access::open(space, range, uvm::AccessKind::Write));
    if (view.bytes().empty()) {
      return uvm::Error(uvm::ErrorKind::Unsupported, "guest memory " + uvm::to_string(range) +
                                                         " is not in one piece on the host, as DMA needs it");
    }
    UVMM_CHECK(io_->map(range, view.bytes()));
    ++mapped_;
  }
  return uvm::ok();
}

void DmaMap::unmap() {
  for (; mapped_ != 0; --mapped_) io_->unmap(pin_.ranges()[mapped_ - 1]);
}

}  // namespace vmm::vfio
