#include "vmm/devices/pci_config_space.h"

#include <algorithm>
#include <bit>
#include <string>

#include "uvm/base/range.h"
#include "vmm/devices/registers.h"

namespace vmm::devices {
namespace {

constexpr std::uint64_t kStandardBytes = 256;  // where capabilities can be
constexpr std::uint64_t kLeastBar = 16;
constexpr std::uint64_t kMostInLowBar = std::uint64_t{1} << 31;
constexpr std::uint64_t kBarIs64Bits = 1 << 2;
constexpr std::uint64_t kBarPrefetch = 1 << 3;
constexpr std::uint64_t kBarAddress = ~std::uint64_t{0xf};
constexpr std::uint64_t kLeastPorts = 4;
constexpr std::uint64_t kMostPorts = 256;
constexpr std::uint64_t kBarIsPorts = 1 << 0;
constexpr std::uint64_t kPortsAddress = ~std::uint64_t{3};

std::uint64_t place_of(unsigned bar) {
  return pci::kFirstBar + 4 * std::uint64_t{bar};
}

std::size_t bytes_of(BarWidth width) {
  return width == BarWidth::Bits64 ? 8 : 4;
}

/// The bits of its register that are an address.
std::uint64_t address_bits(const PciBar& bar) {
  return bar.space == BarSpace::Ports ? kPortsAddress : kBarAddress;
}

/// The others.
std::uint64_t type_bits(const PciBar& bar) {
  if (bar.space == BarSpace::Ports) return kBarIsPorts;
  return (bar.width == BarWidth::Bits64 ? kBarIs64Bits : 0) |
         (bar.prefetch == BarPrefetch::Yes ? kBarPrefetch : 0);
}

bool can_be(const PciBar& bar) {
  const bool is_wide = bar.width == BarWidth::Bits64;
  if (bar.index + (is_wide ? 1U : 0U) >= PciConfigSpace::kBars || !std::has_single_bit(bar.bytes))
    return false;
  if (bar.space == BarSpace::Ports) {
    return !is_wide && bar.bytes >= kLeastPorts && bar.bytes <= kMostPorts;
  }
  return bar.bytes >= kLeastBar && (is_wide || bar.bytes <= kMostInLowBar);
}

}  // namespace

PciConfigSpace::PciConfigSpace(const PciIdentity& identity) {
  set(pci::kVendor, identity.vendor, 2);
  set(pci::kDevice, identity.device, 2);
  set(pci::kRevision, identity.revision, 1);
  set(pci::kClass, identity.class_code, 3);
  set(pci::kSubsystemVendor, identity.subsystem_vendor, 2);
  set(pci::kSubsystem, identity.subsystem, 2);
  set_writable(pci::kCommand, pci::kCommandMemory | pci::kCommandMaster | pci::kCommandNoInterruptLine, 2);
  set_writable(pci::kInterruptLine, 0xff, 1);  // firmware's scratch register
}

void PciConfigSpace::set(std::uint64_t offset, std::uint64_t value, std::size_t bytes) {
  store_le(std::span(bytes_).subspan(offset, bytes), value);
}

std::uint64_t PciConfigSpace::get(std::uint64_t offset, std::size_t bytes) const {
  return load_le(std::span(bytes_).subspan(offset, bytes));
}

void PciConfigSpace::set_writable(std::uint64_t offset, std::uint64_t mask, std::size_t bytes) {
  store_le(std::span(writable_).subspan(offset, bytes), mask);
}

uvm::Status PciConfigSpace::add_bar(const PciBar& bar) {
  const std::string name = "BAR " + std::to_string(bar.index) + " of " + uvm::hex(bar.bytes) + " bytes";
  if (!can_be(bar)) {
    return uvm::Error(uvm::ErrorKind::Invalid, name + " cannot be",
                      "there are six registers; sizes are powers of two from 16 on, of ports from 4 to 256");
  }
  const std::uint64_t place = place_of(bar.index);
  const std::size_t bytes = bytes_of(bar.width);
  const auto taken = std::span(writable_).subspan(place, bytes);
  if (std::ranges::any_of(taken, [](std::byte mask) { return mask != std::byte{0}; })) {
    return uvm::Error(uvm::ErrorKind::Busy, name + ": its register is taken", "choose another");
  }
  set(place, type_bits(bar), bytes);
  set_writable(place, ~(bar.bytes - 1), bytes);
  if (bar.space == BarSpace::Ports) {
    writable_.at(pci::kCommand) |= static_cast<std::byte>(pci::kCommandPorts);
  }
  bars_.at(bar.index) = bar;
  return uvm::ok();
}

const PciBar* PciConfigSpace::bar(unsigned index) const {
  return index < kBars && bars_[index] ? &*bars_[index] : nullptr;
}

void PciConfigSpace::place_bar(unsigned index, std::uint64_t gpa) {
  const PciBar* const added = bar(index);
  if (added == nullptr) return;
  const std::size_t bytes = bytes_of(added->width);
  set(place_of(index), (gpa & ~(added->bytes - 1)) | type_bits(*added), bytes);
}

std::optional<std::uint64_t> PciConfigSpace::bar_address(unsigned index) const {
  const PciBar* const added = bar(index);
  if (added == nullptr) return std::nullopt;
  const auto decoded = added->space == BarSpace::Ports ? pci::kCommandPorts : pci::kCommandMemory;
  if ((get(pci::kCommand, 2) & decoded) == 0) return std::nullopt;
  return get(place_of(index), bytes_of(added->width)) & address_bits(*added);
}

uvm::Result<std::uint64_t> PciConfigSpace::add_capability(std::uint8_t id, std::span<const std::byte> body) {
  const std::uint64_t place = next_capability_;
  const std::uint64_t end = place + 2 + body.size();
  if (end > kStandardBytes) {
    return uvm::Error(uvm::ErrorKind::NoMemory, "PCI capability " + uvm::hex(id) + " of " +
                                                    std::to_string(2 + body.size()) +
                                                    " bytes does not fit behind " + uvm::hex(place));
  }
  set(place, id, 1);
  set(place + 1, get(pci::kCapabilities, 1), 1);
  std::ranges::copy(body, bytes_.begin() + static_cast<std::ptrdiff_t>(place + 2));
  set(pci::kCapabilities, place, 1);
  set(pci::kStatus, get(pci::kStatus, 2) | pci::kStatusCapabilities, 2);
  next_capability_ = (end + 3) / 4 * 4;
  return place;
}

void PciConfigSpace::state(StateFields& fields) {
  Bytes saved = bytes_;
  fields.bytes(saved);
  if (fields.restoring()) write(0, saved);  // what is read-only is the machine's, not the state's
}

void PciConfigSpace::read(std::uint64_t offset, std::span<std::byte> data) const {
  std::ranges::copy(std::span(bytes_).subspan(offset, data.size()), data.begin());
}

void PciConfigSpace::write(std::uint64_t offset, std::span<const std::byte> data) {
  for (std::size_t i = 0; i < data.size(); ++i) {
    std::byte& byte = bytes_.at(offset + i);
    const std::byte mask = writable_.at(offset + i);
    byte = (byte & ~mask) | (data[i] & mask);
  }
}

}  // namespace vmm::devices
