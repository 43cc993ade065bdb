// Where virtio devices without PCI have their registers: a page each, side by side.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "vmm/devices/interfaces.h"
#include "vmm/virtio/mmio_transport.h"

namespace vmm::virtio {

/// Slots are filled one after the other, while no vCPU runs; the transports outlive it. An empty one says
/// that it holds no device (virtio 1.2, 4.2.2: DeviceID 0).
class MmioSlots final : public devices::BusDevice {
 public:
  void add(MmioTransport& transport) { transports_.push_back(&transport); }
  [[nodiscard]] std::size_t size() const { return transports_.size(); }
  [[nodiscard]] const std::vector<MmioTransport*>& transports() const { return transports_; }

  void read(std::uint64_t offset, std::span<std::byte> data) override {
    if (MmioTransport* const transport = at(offset)) return transport->read(offset % kBytes, data);
    std::ranges::fill(data, std::byte{0});
    // What tells a driver that it has not come to a wrong place.
    if (data.size() == kWord && offset % kBytes == 0) std::ranges::copy(kMagic, data.begin());
    if (data.size() == kWord && offset % kBytes == kVersion) data[0] = std::byte{2};
  }
  void write(std::uint64_t offset, std::span<const std::byte> data) override {
    if (MmioTransport* const transport = at(offset)) transport->write(offset % kBytes, data);
  }

 private:
  static constexpr std::uint64_t kBytes = MmioTransport::kBytes;
  static constexpr std::size_t kWord = 4;
  static constexpr std::uint64_t kVersion = 4;
  static constexpr std::array<std::byte, kWord> kMagic{std::byte{'v'}, std::byte{'i'}, std::byte{'r'},
                                                       std::byte{'t'}};

  [[nodiscard]] MmioTransport* at(std::uint64_t offset) const {
    return offset / kBytes < transports_.size() ? transports_[offset / kBytes] : nullptr;
  }

  std::vector<MmioTransport*> transports_;
};

}  // namespace vmm::virtio
