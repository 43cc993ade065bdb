// The registers of one PCI function: bytes, and for each bit whether software may change it.
//
// That is all there is to configuration space. A read-only register is bytes without writable bits. A base
// address register (BAR) is an address whose low bits cannot be written, so that whoever writes ones to it
// reads back how much it decodes (PCI 3.0, 6.2.5.1). A capability is a few bytes in a chain that the status
// register announces. What a register does when it is written is its function's business: it looks at the
// space after each write.
//
// A function is built up (identity, BARs, capabilities, where the BARs are at power-on), sealed, and then
// belongs to the guest. The addresses of BARs are chosen by the machine, as a firmware would; the guest may
// choose others.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "uvm/base/error.h"
#include "vmm/devices/pci_function.h"

namespace vmm::devices {

/// Places of registers in a type 0 header (PCI 3.0, 6.1).
namespace pci {
inline constexpr std::uint64_t kVendor = 0x00;
inline constexpr std::uint64_t kDevice = 0x02;
inline constexpr std::uint64_t kCommand = 0x04;
inline constexpr std::uint64_t kStatus = 0x06;
inline constexpr std::uint64_t kRevision = 0x08;
inline constexpr std::uint64_t kClass = 0x09;  // 3 bytes
inline constexpr std::uint64_t kHeaderType = 0x0e;
inline constexpr std::uint64_t kFirstBar = 0x10;
inline constexpr std::uint64_t kSubsystemVendor = 0x2c;
inline constexpr std::uint64_t kSubsystem = 0x2e;
inline constexpr std::uint64_t kCapabilities = 0x34;
inline constexpr std::uint64_t kInterruptLine = 0x3c;
inline constexpr std::uint64_t kInterruptPin = 0x3d;  // 0: none, 1: INTA

inline constexpr std::uint16_t kCommandPorts = 1 << 0;
inline constexpr std::uint16_t kCommandMemory = 1 << 1;
inline constexpr std::uint16_t kCommandMaster = 1 << 2;
inline constexpr std::uint16_t kCommandParity = 1 << 6;  // reports parity errors
inline constexpr std::uint16_t kCommandSystemError = 1 << 8;
inline constexpr std::uint16_t kCommandNoInterruptLine = 1 << 10;
inline constexpr std::uint16_t kStatusCapabilities = 1 << 4;

inline constexpr std::uint8_t kCapabilityPower = 0x01;
inline constexpr std::uint8_t kCapabilityMsi = 0x05;
inline constexpr std::uint8_t kCapabilityVendor = 0x09;
inline constexpr std::uint8_t kCapabilityMsix = 0x11;
}  // namespace pci

struct PciIdentity {
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint8_t revision = 0;
  std::uint32_t class_code = 0;  // 24 bits: class, subclass, interface
  std::uint16_t subsystem_vendor = 0;
  std::uint16_t subsystem = 0;
};

enum class BarWidth : std::uint8_t { Bits32, Bits64 };
enum class BarPrefetch : std::uint8_t { No, Yes };
enum class BarSpace : std::uint8_t { Memory, Ports };

/// A BAR. One of 64 bits takes the register after it too.
struct PciBar {
  unsigned index = 0;                 // 0-5
  std::uint64_t bytes = 0;            // a power of two, 16 or more; of ports 4 to 256
  BarSpace space = BarSpace::Memory;  // Ports: of 32 bits, not to be prefetched
  BarWidth width = BarWidth::Bits32;
  BarPrefetch prefetch = BarPrefetch::No;
};

/// Thread: one at a time; a function guards it with its lock.
class PciConfigSpace {
 public:
  static constexpr unsigned kBars = 6;

  /// All zeros, nothing to be written: for functions that copy a real one.
  PciConfigSpace() = default;
  /// A type 0 header with a command register in which memory, bus master and interrupt disable can be set.
  explicit PciConfigSpace(const PciIdentity& identity);

  /// The low `bytes` (1-8) of `value`, whether software could write them or not; inside the space.
  void set(std::uint64_t offset, std::uint64_t value, std::size_t bytes);
  [[nodiscard]] std::uint64_t get(std::uint64_t offset, std::size_t bytes) const;
  /// The ones of `mask` become bits that software can change, the others become bits that it cannot.
  void set_writable(std::uint64_t offset, std::uint64_t mask, std::size_t bytes);

  /// With ports, software can turn these on too. Errors: Invalid (no such register, a size that is none,
  /// wider than the register), Busy (taken).
  [[nodiscard]] uvm::Status add_bar(const PciBar& bar);
  /// The BAR in that register, or null.
  [[nodiscard]] const PciBar* bar(unsigned index) const;
  /// Writes an address into a BAR that was added, as firmware does. `gpa` is a multiple of the BAR's size.
  void place_bar(unsigned index, std::uint64_t gpa);
  /// Where a BAR answers by its register; nullopt while decoding of its space is off, or when it was not
  /// added.
  [[nodiscard]] std::optional<std::uint64_t> bar_address(unsigned index) const;

  /// Puts a capability in front of the chain and returns where: the two bytes of its head, then `body`,
  /// read-only. Errors: NoMemory (256 bytes hold no more).
  [[nodiscard]] uvm::Result<std::uint64_t> add_capability(std::uint8_t id, std::span<const std::byte> body);

  /// The state now is the one that reset() brings back.
  void seal() { power_on_ = bytes_; }
  void reset() { bytes_ = power_on_; }
  /// What software can change, and what it has made of it.
  void state(StateFields& fields);

  /// As PciFunction hands them over.
  void read(std::uint64_t offset, std::span<std::byte> data) const;
  void write(std::uint64_t offset, std::span<const std::byte> data);

 private:
  using Bytes = std::array<std::byte, kPciConfigBytes>;

  Bytes bytes_{};
  Bytes writable_{};
  Bytes power_on_{};
  std::array<std::optional<PciBar>, kBars> bars_;
  std::uint64_t next_capability_ = 0x40;
};

}  // namespace vmm::devices
