// A transport that counts what a virtio device tells it.
#pragma once

#include <atomic>

#include "vmm/virtio/device.h"

namespace test {

class VirtioHost : public vmm::virtio::DeviceHost {
 public:
  void stopped() override { ++stops; }
  void failed() override { ++failures; }
  void config_changed() override { ++changes; }
  std::atomic<int> stops = 0;
  std::atomic<int> failures = 0;
  std::atomic<int> changes = 0;
};

}  // namespace test
