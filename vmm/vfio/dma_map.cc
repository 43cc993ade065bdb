#include "vmm/vfio/dma_map.h"

#include <string>
#include <utility>

namespace vmm::vfio {

uvm::Result<DmaMap> DmaMap::create(uvm::Space& space, IoSpace& io, std::span<const uvm::GpaRange> ranges,
                                   std::shared_ptr<uvm::PinOwner> owner, uvm::ForkPolicy policy) {
  uvm::PinRequest request;
  request.owner = std::move(owner);
  request.policy = policy;
  UVMM_TRY(auto pins, uvm::Pin::create(space, ranges, request));
  DmaMap map(io, std::move(pins));
  UVMM_CHECK(map.map());
  return map;
}

DmaMap::DmaMap(DmaMap&& other) noexcept
    : io_(std::exchange(other.io_, nullptr)),
      pins_(std::move(other.pins_)),
      mapped_(std::exchange(other.mapped_, 0)) {}

DmaMap& DmaMap::operator=(DmaMap&& other) noexcept {
  if (this != &other) {
    unmap();
    io_ = std::exchange(other.io_, nullptr);
    pins_ = std::move(other.pins_);
    mapped_ = std::exchange(other.mapped_, 0);
  }
  return *this;
}

uvm::Status DmaMap::map() {
  for (const uvm::Pin& pin : pins_) {
    const auto bytes = pin.bytes();
    if (bytes.empty()) {
      return uvm::Error(uvm::ErrorKind::Unsupported, "guest memory " + uvm::to_string(pin.range()) +
                                                         " is not in one piece on the host, as DMA needs it");
    }
    UVMM_CHECK(io_->map(pin.range(), bytes));
    ++mapped_;
  }
  return uvm::ok();
}

void DmaMap::unmap() {
  for (; mapped_ != 0; --mapped_) io_->unmap(pins_[mapped_ - 1].range());
}

}  // namespace vmm::vfio
