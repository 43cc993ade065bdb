#include "vmm/devices/pci_host.h"

#include <string>

#include "uvm/base/range.h"
#include "vmm/devices/registers.h"

namespace vmm::devices {

namespace {

constexpr std::uint32_t kAddressEnable = 0x8000'0000;
constexpr std::uint32_t kAddressStored = 0x80ff'fffc;
constexpr std::uint64_t kDataOffset = 4;          // CONFIG_DATA, from 0xcf8
constexpr std::uint64_t kResetControlOffset = 1;  // 0xcf9
constexpr std::uint64_t kFunctionsPerBus = 256;

// Red Hat's generic PCIe host bridge: no driver and no quirk of any guest knows better what it is.
constexpr std::array<std::uint8_t, 16> kBridgeHeader{0x36, 0x1b, 0x08, 0x00,   // vendor, device
                                                     0x00, 0x00, 0x00, 0x00,   // command, status
                                                     0x00, 0x00, 0x00, 0x06,   // revision, class 060000
                                                     0x00, 0x00, 0x00, 0x00};  // type 0, one function

}  // namespace

/// 00:00.0: identity only, nothing to program.
class PciHost::Bridge final : public PciFunction {
 public:
  void read_config(std::uint64_t offset, std::span<std::byte> data) override {
    read_block(std::as_bytes(std::span(kBridgeHeader)), offset, data);
  }
  void write_config(std::uint64_t /*offset*/, std::span<const std::byte> /*data*/) override {}
  void reset() override {}
};

PciHost::PciHost(BusDevice* reset_control)
    : reset_control_(reset_control), bridge_(std::make_unique<Bridge>()) {
  functions_[0] = bridge_.get();
}

PciHost::~PciHost() = default;

uvm::Status PciHost::add(PciSlot slot, PciFunction& function) {
  const std::string name = "PCI slot 00:" + uvm::hex(slot.device) + "." + std::to_string(slot.function);
  if (slot.device >= kDevices || slot.function > 7) {
    return uvm::Error(uvm::ErrorKind::Invalid, name + " does not exist", "devices are 0-31, functions 0-7");
  }
  PciFunction*& place = functions_[slot.device * 8U + slot.function];
  if (place != nullptr) return uvm::Error(uvm::ErrorKind::Busy, name + " is taken", "choose another slot");
  place = &function;
  return uvm::ok();
}

uvm::Result<PciSlot> PciHost::add(PciFunction& function) {
  for (std::uint8_t device = 0; device < kDevices; ++device) {
    const PciSlot slot{.device = device, .function = 0};
    if (functions_[device * 8U] != nullptr) continue;
    UVMM_CHECK(add(slot, function));
    return slot;
  }
  return uvm::Error(uvm::ErrorKind::NoMemory,
                    "all " + std::to_string(kDevices) + " devices of PCI bus 0 are taken",
                    "attach fewer devices");
}

uvm::Result<std::vector<Stateful*>> PciHost::stateful_functions() const {
  std::vector<Stateful*> found;
  for (std::size_t i = 1; i < functions_.size(); ++i) {
    if (functions_[i] == nullptr) continue;
    Stateful* const state = functions_[i]->stateful();
    if (state == nullptr) {
      return uvm::Error(uvm::ErrorKind::Unsupported,
                        "the state of the PCI device at 00:" + uvm::hex(i / 8) + "." + std::to_string(i % 8) +
                            " can't be taken along",
                        "start the guest without it");
    }
    found.push_back(state);
  }
  return found;
}

void PciHost::reset() {
  address_ = 0;
  for (PciFunction* function : functions_) {
    if (function != nullptr) function->reset();
  }
}

void PciHost::read_config(std::uint64_t place, std::span<std::byte> data) {
  const std::uint64_t offset = place % kPciConfigBytes;
  const std::uint64_t number = place / kPciConfigBytes;
  fill_ones(data);
  if (data.size() > 4 || data.size() > kPciConfigBytes - offset) {
    for (std::size_t i = 0; i < data.size(); ++i) read_config(place + i, data.subspan(i, 1));
    return;
  }
  if (number >= kFunctionsPerBus || functions_[number] == nullptr) return;
  functions_[number]->read_config(offset, data);
}

void PciHost::write_config(std::uint64_t place, std::span<const std::byte> data) {
  const std::uint64_t offset = place % kPciConfigBytes;
  const std::uint64_t number = place / kPciConfigBytes;
  if (data.size() > 4 || data.size() > kPciConfigBytes - offset) {
    for (std::size_t i = 0; i < data.size(); ++i) write_config(place + i, data.subspan(i, 1));
    return;
  }
  if (number >= kFunctionsPerBus || functions_[number] == nullptr) return;
  functions_[number]->write_config(offset, data);
}

std::optional<std::uint64_t> PciHost::data_place(std::uint64_t offset) const {
  const std::uint32_t address = address_;
  if ((address & kAddressEnable) == 0) return std::nullopt;
  const std::uint64_t function = (address & 0x00ff'ff00) >> 8;  // bus, device, function
  return function * kPciConfigBytes + (address & 0xfc) + (offset - kDataOffset);
}

void PciHost::Ports::read(std::uint64_t offset, std::span<std::byte> data) {
  fill_ones(data);
  if (offset == 0 && data.size() == 4) {
    store_le(data, host_.address_);
  } else if (offset == kResetControlOffset && data.size() == 1) {
    if (host_.reset_control_ != nullptr) host_.reset_control_->read(0, data);
  } else if (offset >= kDataOffset) {
    if (const auto place = host_.data_place(offset)) host_.read_config(*place, data);
  }
}

void PciHost::Ports::write(std::uint64_t offset, std::span<const std::byte> data) {
  if (offset == 0 && data.size() == 4) {
    host_.address_ = static_cast<std::uint32_t>(load_le(data)) & kAddressStored;
  } else if (offset == kResetControlOffset && data.size() == 1) {
    if (host_.reset_control_ != nullptr) host_.reset_control_->write(0, data);
  } else if (offset >= kDataOffset) {
    if (const auto place = host_.data_place(offset)) host_.write_config(*place, data);
  }
}

void PciHost::Ecam::read(std::uint64_t offset, std::span<std::byte> data) {
  host_.read_config(offset, data);
}

void PciHost::Ecam::write(std::uint64_t offset, std::span<const std::byte> data) {
  host_.write_config(offset, data);
}

}  // namespace vmm::devices
