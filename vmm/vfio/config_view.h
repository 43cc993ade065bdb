// Configuration space of a device of the host's, as the guest sees it.
//
// Each byte of the standard 256 is either the device's, read from it and written to it as the kernel's VFIO
// allows (which is careful), or ours:
//
//   command          bits of ours; the device always decodes its memory and its ports, whatever the guest
//                    says, so that a register that is mapped is never an error to touch
//   BARs, ROM        ours: addresses and ports in the guest's space; there is no ROM
//   header type      one function, whatever the device has on the host
//   interrupt line   a scratch register; the pin says that there is none, until one is wired
//   MSI, MSI-X       the control word and the message: ours, the kernel's interrupts are made by eventfds
//   power control    kept and not done: the device stays awake, for the reason of the first line
//
// Extended configuration space reads as zeros, which says that there is none: what is in there (error
// reporting, virtual functions, resizable BARs) is the host's business.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "uvm/base/error.h"
#include "vmm/devices/pci_config_space.h"

namespace vmm::vfio {

/// The device's own space. Errors are the kernel's.
class HostConfig {
 public:
  virtual ~HostConfig() = default;
  [[nodiscard]] virtual uvm::Status read(std::uint64_t offset, std::span<std::byte> data) = 0;
  [[nodiscard]] virtual uvm::Status write(std::uint64_t offset, std::span<const std::byte> data) = 0;
};

/// Thread: one at a time; a function guards it with its lock.
class ConfigView {
 public:
  static constexpr std::uint64_t kBytes = 256;

  /// Reads the device's space. Errors: those of `host`, which outlives this; Unsupported (not a type 0
  /// header: a bridge).
  [[nodiscard]] static uvm::Result<ConfigView> create(HostConfig& host);

  /// The bytes that are ours. BARs and interrupts are added to it and follow it, as with any function.
  [[nodiscard]] devices::PciConfigSpace& registers() { return registers_; }
  [[nodiscard]] const devices::PciConfigSpace& registers() const { return registers_; }
  /// What the device had at `offset` when it was opened.
  [[nodiscard]] std::uint64_t original(std::uint64_t offset, std::size_t bytes) const;
  /// Where the first capability of that kind is.
  [[nodiscard]] std::optional<std::uint64_t> capability(std::uint8_t id) const;
  /// From now on these bytes are ours: `value`, of which a guest can change the ones of `writable`.
  void keep(std::uint64_t offset, std::uint64_t value, std::uint64_t writable, std::size_t bytes);

  /// As PciFunction hands them over. A device that does not answer reads as ones.
  void read(std::uint64_t offset, std::span<std::byte> data);
  void write(std::uint64_t offset, std::span<const std::byte> data);

 private:
  explicit ConfigView(HostConfig& host) : host_(&host) {}
  void keep_header();
  void keep_power();

  HostConfig* host_;
  devices::PciConfigSpace registers_;
  std::array<std::byte, kBytes> original_{};
  std::array<bool, kBytes> kept_{};
};

}  // namespace vmm::vfio
