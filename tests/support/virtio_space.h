// Guest memory with a virtio device of this process in it, for tests of what such a device does.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "tests/support/virtio_host.h"
#include "tests/vmm/pins/pin_space.h"
#include "vmm/virtio/local_device.h"

namespace test {

/// A device's own fields as a section of a state.
class DeviceSection : public vmm::devices::Stateful {
 public:
  explicit DeviceSection(vmm::virtio::LocalDevice& device) : device_(device) {}
  [[nodiscard]] std::string_view state_name() const override { return "test"; }
  void state(vmm::devices::StateFields& fields) override { device_.state(fields); }

 private:
  vmm::virtio::LocalDevice& device_;
};

class VirtioSpace : public PinSpace {
 protected:
  /// What a device takes for RAM: all pages, those that are private too, or the first so many.
  explicit VirtioSpace(std::uint64_t ram_pages = 2 * kRamPages) : ram_bytes_(ram_pages * kPage) {}

  /// Attached to host_, and not started. `owner` is its rings'.
  std::unique_ptr<vmm::virtio::LocalDevice> attached(const std::string& name,
                                                     std::shared_ptr<uvm::PinOwner> owner,
                                                     std::unique_ptr<vmm::virtio::Service> service) {
    const auto is_ram = [end = ram_bytes_](std::uint64_t gpa, std::uint64_t bytes) {
      return gpa < end && bytes <= end - gpa;
    };
    auto made = std::make_unique<vmm::virtio::LocalDevice>(
        name, vmm::virtio::LocalDevice::Surroundings{*space_, std::move(owner), is_ram}, std::move(service));
    EXPECT_TRUE(made->attach(host_));
    return made;
  }
  std::unique_ptr<vmm::virtio::LocalDevice> attached(const std::string& name,
                                                     std::unique_ptr<vmm::virtio::Service> service) {
    return attached(name, uvm::PinOwner::create(name), std::move(service));
  }

  VirtioHost host_;

 private:
  const std::uint64_t ram_bytes_;
};

}  // namespace test
