// A device with a thread of its own, whose driver has written anything at all into memory and rings.
#pragma once

#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "ept/pmap.h"
#include "uvm/access.h"
#include "uvm/space.h"
#include "vmm/virtio/local_device.h"

namespace fuzz {

inline void require(bool condition) {
  if (!condition) std::abort();
}

/// Two rings of 16 entries; what a fuzzer has fills their descriptors, what is available, and the memory
/// behind.
class DeviceMachine : private vmm::virtio::DeviceHost {
 public:
  static constexpr std::uint64_t kPage = uvm::kPageSize;
  static constexpr std::uint64_t kRamBytes = 16 * kPage;
  static constexpr std::uint16_t kQueueSize = 16;
  static constexpr std::size_t kDescriptorBytes = std::size_t{16} * kQueueSize;
  static constexpr std::size_t kAvailableBytes = 64;

  /// The rings are the queues `first` and the one behind it.
  explicit DeviceMachine(unsigned first = 0) {
    ept::PmapConfig config;
    config.covered = *uvm::GpaRange::from_size(uvm::Gpa(0), kRamBytes);
    pmap_ = *ept::Pmap::create(config);
    space_ = *uvm::Space::create("guest", *pmap_, config.covered);
    uvm::MapRequest ram;
    ram.range = config.covered;
    ram.name = "ram";
    require(space_->map(ram).has_value());
    for (unsigned i = 0; i < queues_.size(); ++i) {
      vmm::virtio::Queue& queue = queues_[i];
      queue.index = first + i;
      queue.size = kQueueSize;
      queue.descriptors = i * kPage;
      queue.driver_area = i * kPage + kDescriptorBytes;
      queue.device_area = i * kPage + 2048;
      queue.kick = &kicks_[i];
      queue.call = &call_;
    }
  }
  [[nodiscard]] uvm::Space& space() { return *space_; }

  /// Starts a device with that memory, and has each ring served twice.
  void run(std::unique_ptr<vmm::virtio::Service> service, std::uint64_t features,
           std::span<const std::byte> input) {
    std::vector<std::byte> ram(kRamBytes);
    const auto take = [&](std::size_t to, std::size_t bytes) {
      const std::size_t now = std::min(bytes, input.size());
      std::copy_n(input.begin(), now, ram.begin() + static_cast<std::ptrdiff_t>(to));
      input = input.subspan(now);
    };
    for (std::size_t i = 0; i < queues_.size(); ++i) {
      take(i * kPage, kDescriptorBytes);
      take(i * kPage + kDescriptorBytes, kAvailableBytes);
    }
    take(2 * kPage, kRamBytes - 2 * kPage);
    require(uvm::Access::write(*space_, uvm::Gpa(0), ram).has_value());
    const auto owner = uvm::PinOwner::create("fuzz0");
    const auto is_ram = [](std::uint64_t gpa, std::uint64_t bytes) {
      return gpa < kRamBytes && bytes <= kRamBytes - gpa;
    };
    vmm::virtio::LocalDevice device("fuzz0", {*space_, owner, is_ram}, std::move(service));
    require(device.attach(*this).has_value());
    device.start({features | vmm::virtio::kFeatureVersion1 | vmm::virtio::kFeatureIndirect,
                  {queues_.begin(), queues_.end()}});
    device.rest();
    require(owner->pinned() == 0);
    device.go_on();
    device.rest();
    require(owner->pinned() == 0);
    device.go_on();
    device.finish();
    require(owner->pinned() == 0);
  }

 private:
  void stopped() override {}
  void failed() override {}
  void config_changed() override {}

  std::unique_ptr<ept::Pmap> pmap_;
  std::unique_ptr<uvm::Space> space_;
  // One each: a descriptor can be watched once.
  std::array<vmm::Fd, 2> kicks_{vmm::Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
                                vmm::Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))};
  vmm::Fd call_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::array<vmm::virtio::Queue, 2> queues_;
};

}  // namespace fuzz
