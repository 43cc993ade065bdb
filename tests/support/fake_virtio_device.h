// A virtio device for tests of transports.
#pragma once

#include <vector>

#include "vmm/virtio/device.h"

namespace test {

/// Remembers what it is told, and answers when the test says so.
class FakeDevice : public vmm::virtio::Device {
 public:
  struct Log {
    std::vector<vmm::virtio::Activation> started;
    int stops = 0;
    vmm::virtio::DeviceHost* host = nullptr;
  };
  explicit FakeDevice(Log& log) : log_(log) {}
  [[nodiscard]] vmm::virtio::DeviceType type() const override { return vmm::virtio::DeviceType::Block; }
  [[nodiscard]] std::uint64_t features() const override {
    return vmm::virtio::kFeatureVersion1 | vmm::virtio::kFeatureIndirect;
  }
  [[nodiscard]] unsigned queues() const override { return 2; }
  [[nodiscard]] std::uint16_t queue_limit() const override { return 128; }
  void read_config(std::uint64_t offset, std::span<std::byte> data) const override {
    for (std::byte& byte : data) byte = static_cast<std::byte>(offset++ + 0x10);
  }
  uvm::Status attach(vmm::virtio::DeviceHost& host) override {
    log_.host = &host;
    return uvm::ok();
  }
  void start(const vmm::virtio::Activation& activation) override { log_.started.push_back(activation); }
  void stop() override { ++log_.stops; }
  void finish() override {}

 private:
  Log& log_;
};

}  // namespace test
