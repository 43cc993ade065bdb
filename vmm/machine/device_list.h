// The devices that a machine was configured with, as its state tells another that is to go on from there.
#pragma once

#include "vmm/devices/state.h"
#include "vmm/machine/config.h"

namespace vmm {

/// Of those that can be taken along. What is on the host (files, interfaces, sockets) is named, not
/// contained.
class DeviceList {
 public:
  DeviceList() = default;
  explicit DeviceList(const MachineConfig& config);

  /// `config` with these devices; where it names one of the same id itself, with that one's place on the
  /// host.
  [[nodiscard]] MachineConfig applied_to(MachineConfig config) const;
  void state(devices::StateFields& fields);

 private:
  std::vector<virtio::blk::Options> drives_;
  std::vector<virtio::net::Options> networks_;
  std::optional<virtio::vsock::Options> vsock_;
  std::optional<virtio::balloon::Options> balloon_;
  std::vector<virtio::pmem::Options> pmem_;
  Entropy entropy_ = Entropy::None;
  VirtioTransport transport_ = VirtioTransport::Pci;
};

}  // namespace vmm
