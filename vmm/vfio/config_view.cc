#include "vmm/vfio/config_view.h"

#include <algorithm>
#include <string>

#include "uvm/base/range.h"
#include "vmm/devices/registers.h"

namespace vmm::vfio {

using devices::load_le;

namespace {

namespace header = devices::pci;

constexpr std::uint64_t kBuiltInSelfTest = 0x0f;
constexpr std::uint64_t kRom = 0x30;
constexpr std::uint64_t kBarBytes = 4 * devices::PciConfigSpace::kBars;
constexpr std::uint64_t kType = 0x7f;  // of the header type; bit 7: several functions
constexpr std::uint64_t kPowerControl = 4;
constexpr std::uint64_t kPowerState = 3;

/// Parity and SERR# reporting are for the guest to switch and for nobody to see.
constexpr std::uint64_t kCommandWritable = header::kCommandMemory | header::kCommandMaster |
                                           header::kCommandNoInterruptLine | header::kCommandParity |
                                           header::kCommandSystemError;

}  // namespace

uvm::Result<ConfigView> ConfigView::create(HostConfig& host) {
  ConfigView view(host);
  UVMM_CHECK(host.read(0, view.original_));
  const std::uint64_t type = view.original(header::kHeaderType, 1) & kType;
  if (type != 0) {
    return uvm::Error(uvm::ErrorKind::Unsupported,
                      "its configuration space is of type " + std::to_string(type) + ": a bridge",
                      "give the guest the devices behind it");
  }
  for (std::uint64_t at = 0; at < kBytes; ++at) view.registers_.set(at, view.original(at, 1), 1);
  view.keep_header();
  view.keep_power();
  return view;
}

void ConfigView::keep_header() {
  keep(header::kCommand, 0, kCommandWritable, 2);
  keep(header::kHeaderType, 0, 0, 1);
  keep(kBuiltInSelfTest, 0, 0, 1);
  for (std::uint64_t at = 0; at < kBarBytes; at += 4) keep(header::kFirstBar + at, 0, 0, 4);
  keep(kRom, 0, 0, 4);
  keep(header::kInterruptLine, 0, 0xff, 1);
  keep(header::kInterruptPin, 0, 0, 1);
}

void ConfigView::keep_power() {
  const auto place = capability(header::kCapabilityPower);
  if (place) keep(*place + kPowerControl, original(*place + kPowerControl, 2) & ~kPowerState, kPowerState, 2);
}

std::uint64_t ConfigView::original(std::uint64_t offset, std::size_t bytes) const {
  return load_le(std::span(original_).subspan(offset, bytes));
}

std::optional<std::uint64_t> ConfigView::capability(std::uint8_t id) const {
  if ((original(header::kStatus, 2) & header::kStatusCapabilities) == 0) return std::nullopt;
  std::uint64_t place = original(header::kCapabilities, 1) & ~std::uint64_t{3};
  // A chain in a ring ends after as many as there is room for.
  for (std::uint64_t i = 0; i < kBytes / 4 && place >= 0x40; ++i) {
    if (original(place, 1) == id) return place;
    place = original(place + 1, 1) & ~std::uint64_t{3};
  }
  return std::nullopt;
}

void ConfigView::keep(std::uint64_t offset, std::uint64_t value, std::uint64_t writable, std::size_t bytes) {
  registers_.set(offset, value, bytes);
  registers_.set_writable(offset, writable, bytes);
  std::fill_n(kept_.begin() + static_cast<std::ptrdiff_t>(offset), bytes, true);
}

void ConfigView::read(std::uint64_t offset, std::span<std::byte> data) {
  registers_.read(offset, data);
  if (offset >= kBytes) return;
  const std::size_t count = std::min<std::size_t>(data.size(), kBytes - offset);
  const auto kept = std::span(kept_).subspan(offset, count);
  if (std::ranges::all_of(kept, [](bool mine) { return mine; })) return;
  std::array<std::byte, 4> theirs{};
  if (!host_->read(offset, std::span(theirs).first(count))) devices::fill_ones(theirs);
  for (std::size_t i = 0; i < count; ++i) {
    if (!kept[i]) data[i] = theirs[i];
  }
}

void ConfigView::write(std::uint64_t offset, std::span<const std::byte> data) {
  if (offset >= kBytes) return;
  data = data.first(std::min<std::size_t>(data.size(), kBytes - offset));
  registers_.write(offset, data);
  // What is the device's goes there in pieces as large as they come.
  for (std::size_t i = 0; i < data.size();) {
    std::size_t end = i;
    while (end < data.size() && kept_[offset + end] == kept_[offset + i]) ++end;
    // A write that the kernel refuses is one that the device ignores.
    if (!kept_[offset + i]) (void)host_->write(offset + i, data.subspan(i, end - i));
    i = end;
  }
}

}  // namespace vmm::vfio
