// Random numbers for the guest (virtio 1.2, 5.4): whatever it asks for is filled by the host's getrandom(2).
#pragma once

#include "vmm/virtio/local_device.h"

namespace vmm::virtio::rng {

/// One queue of buffers to be filled, each at most kMostAtOnce: a driver that wants more asks again.
class Rng final : public Service {
 public:
  static constexpr std::uint32_t kMostAtOnce = 64 * 1024;  // bytes

  explicit Rng(uvm::Space& space) : space_(space) {}

  [[nodiscard]] DeviceType type() const override { return DeviceType::Entropy; }
  [[nodiscard]] std::uint64_t features() const override { return 0; }
  [[nodiscard]] unsigned queues() const override { return 1; }
  void read_config(std::uint64_t offset, std::span<std::byte> data) const override;
  [[nodiscard]] uvm::Status attach(const Thread& /*thread*/) override { return uvm::ok(); }
  void started(QueueSet& /*queues*/) override {}
  [[nodiscard]] uvm::Status serve(SplitQueue& queue) override;
  void drain(std::function<void()> done) override { done(); }

 private:
  [[nodiscard]] uvm::Result<std::uint32_t> fill(const Chain& chain);

  uvm::Space& space_;
  Chain chain_;
};

}  // namespace vmm::virtio::rng
