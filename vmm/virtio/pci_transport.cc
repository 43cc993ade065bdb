#include "vmm/virtio/pci_transport.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "vmm/devices/registers.h"

namespace vmm::virtio {

using devices::store_le;
namespace pci = devices::pci;

namespace {

constexpr std::uint16_t kFirstDevice = 0x1040;     // and the device's type
constexpr std::uint16_t kFirstSubsystem = 0x1100;  // 0x40 or more tells drivers that this is no legacy device
constexpr std::uint8_t kRevision = 1;

/// Class, subclass and interface: what `lspci` shows; no driver asks.
std::uint32_t class_of(DeviceType type) {
  switch (type) {
    case DeviceType::Block:
    case DeviceType::FileSystem:
      return 0x01'8000;  // storage
    case DeviceType::Network:
      return 0x02'0000;  // Ethernet
    case DeviceType::Console:
    case DeviceType::Socket:
      return 0x07'8000;  // communication
    case DeviceType::Pmem:
      return 0x05'8000;  // memory
    case DeviceType::Entropy:
    case DeviceType::Balloon:
      break;
  }
  return 0xff'0000;
}

/// struct virtio_pci_cap, from its third byte on.
enum class Structure : std::uint8_t { Common = 1, Notify = 2, Isr = 3, Device = 4, Window = 5 };

struct Region {
  std::uint64_t offset;
  std::uint64_t bytes;
};
constexpr Region kCommon{0x0000, 0x1000};
constexpr Region kIsr{0x1000, 0x1000};
constexpr Region kDevice{0x2000, 0x1000};
constexpr Region kNotify{0x3000, 0x1000};
constexpr Region kMsixTable{0x4000, 0x2000};
constexpr Region kMsixPending{0x6000, 0x2000};
constexpr std::uint64_t kBarBytes = 0x8000;
constexpr unsigned kBar = 0;

constexpr std::uint32_t kNotifyBytes = 4;  // of each queue
constexpr std::size_t kCapabilityBytes = 14;
constexpr std::size_t kLongCapabilityBytes = 18;  // with a multiplier, or with data
// Places in the capability that is a window onto the BAR.
constexpr std::uint64_t kWindowBar = 4;
constexpr std::uint64_t kWindowOffset = 8;
constexpr std::uint64_t kWindowLength = 12;
constexpr std::uint64_t kWindowData = 16;

constexpr std::uint8_t kIsrConfiguration = 2;

bool holds(const Region& region, std::uint64_t offset) {
  return region.offset <= offset && offset - region.offset < region.bytes;
}

std::uint64_t queue_of(std::uint64_t offset) {
  return (offset - kNotify.offset) / kNotifyBytes;
}

std::vector<std::byte> capability(Structure structure, const Region& region, std::size_t bytes) {
  std::vector<std::byte> body(bytes);
  body[0] = static_cast<std::byte>(bytes + 2);
  body[1] = static_cast<std::byte>(structure);
  body[2] = std::byte{kBar};
  store_le(std::span(body).subspan(6, 4), region.offset);
  store_le(std::span(body).subspan(10, 4), region.bytes);
  return body;
}

devices::PciIdentity identity_of(const Device& device) {
  const auto type = static_cast<std::uint16_t>(device.type());
  return {.vendor = kVendor,
          .device = static_cast<std::uint16_t>(kFirstDevice + type),
          .revision = kRevision,
          .class_code = class_of(device.type()),
          .subsystem_vendor = kVendor,
          .subsystem = static_cast<std::uint16_t>(kFirstSubsystem + type)};
}

}  // namespace

PciTransport::PciTransport(std::string name, const Environment& environment, std::unique_ptr<Device> device)
    : Transport(std::move(name), std::move(device), Vectors::OneEach, environment.is_ram),
      environment_(environment),
      space_(identity_of(*device_)),
      msix_(environment.messages, device_->queues() + 1),
      bars_(environment.window) {}

PciTransport::~PciTransport() {
  finish();  // its threads call back
}

uvm::Result<std::unique_ptr<PciTransport>> PciTransport::create(const std::string& name,
                                                                const Environment& environment,
                                                                std::unique_ptr<Device> device) {
  std::unique_ptr<PciTransport> made(new PciTransport(name, environment, std::move(device)));
  if (auto built = made->build(); !built) return std::move(built).error().with_context(name);
  return made;
}

uvm::Status PciTransport::build() {
  UVMM_TRY(unheard_, make_event());
  UVMM_CHECK(open_kicks());
  const uvm::MutexLock lock(mutex_);
  UVMM_CHECK(msix_.back_by_events(environment_.events));
  UVMM_CHECK(
      bars_.add(space_, {.index = kBar, .bytes = kBarBytes, .width = devices::BarWidth::Bits64}, *this));
  // Always inside write_config(), under its lock.
  bars_.set_on_moved([this](unsigned /*bar*/, std::optional<std::uint64_t> gpa)
                         NO_THREAD_SAFETY_ANALYSIS { moved_locked(gpa); });
  UVMM_CHECK(add_capabilities_locked());
  space_.seal();
  return device_->attach(*this);
}

uvm::Status PciTransport::add_capabilities_locked() {
  UVMM_CHECK(msix_.add_capability(space_,
                                  {.bar = kBar, .table = kMsixTable.offset, .pending = kMsixPending.offset}));
  const auto window = capability(Structure::Window, {0, 0}, kLongCapabilityBytes);
  UVMM_TRY(window_capability_, space_.add_capability(pci::kCapabilityVendor, window));
  space_.set_writable(window_capability_ + kWindowBar, 0xff, 1);
  space_.set_writable(window_capability_ + kWindowOffset, ~std::uint64_t{0}, 8);
  auto notify = capability(Structure::Notify, kNotify, kLongCapabilityBytes);
  store_le(std::span(notify).last(4), kNotifyBytes);
  UVMM_CHECK(space_.add_capability(pci::kCapabilityVendor, notify));
  for (const auto& [structure, region] :
       {std::pair(Structure::Device, kDevice), std::pair(Structure::Isr, kIsr),
        std::pair(Structure::Common, kCommon)}) {
    UVMM_CHECK(
        space_.add_capability(pci::kCapabilityVendor, capability(structure, region, kCapabilityBytes)));
  }
  return uvm::ok();
}

// ---- configuration space

std::optional<std::uint64_t> PciTransport::looked_at_locked(std::uint64_t offset, std::size_t bytes) const {
  const std::uint64_t at = space_.get(window_capability_ + kWindowOffset, 4);
  const std::uint64_t length = space_.get(window_capability_ + kWindowLength, 4);
  const bool is_width = length == 1 || length == 2 || length == 4;
  if (offset != window_capability_ + kWindowData || bytes != length || !is_width || at % length != 0 ||
      at >= kBarBytes || space_.get(window_capability_ + kWindowBar, 1) != kBar) {
    return std::nullopt;
  }
  return at;
}

void PciTransport::read_config(std::uint64_t offset, std::span<std::byte> data) {
  const uvm::MutexLock lock(mutex_);
  space_.read(offset, data);
  if (const auto at = looked_at_locked(offset, data.size())) read_locked(*at, data);
}

void PciTransport::write_config(std::uint64_t offset, std::span<const std::byte> data) {
  const uvm::MutexLock lock(mutex_);
  space_.write(offset, data);
  bars_.follow(space_);
  msix_.follow(space_);
  if (const auto at = looked_at_locked(offset, data.size())) write_locked(*at, data);
}

void PciTransport::moved_locked(std::optional<std::uint64_t> bar) {
  doorbells_.clear();
  if (!bar) return;
  for (std::size_t queue = 0; queue < kicks_.size(); ++queue) {
    auto doorbell =
        environment_.doorbells.attach(*bar + kNotify.offset + queue * kNotifyBytes, kicks_[queue]);
    if (doorbell) {
      doorbells_.push_back(*std::move(doorbell));
    } else {
      ++lost_doorbells_;
    }
  }
}

// ---- the BAR

void PciTransport::read(std::uint64_t offset, std::span<std::byte> data) {
  const uvm::MutexLock lock(mutex_);
  read_locked(offset, data);
}

void PciTransport::write(std::uint64_t offset, std::span<const std::byte> data) {
  if (holds(kNotify, offset)) return notify(queue_of(offset));  // without the lock
  const uvm::MutexLock lock(mutex_);
  write_locked(offset, data);
}

void PciTransport::read_locked(std::uint64_t offset, std::span<std::byte> data) {
  std::ranges::fill(data, std::byte{0});
  if (holds(kCommon, offset)) {
    common_.read(offset - kCommon.offset, data);
  } else if (holds(kIsr, offset)) {
    if (offset == kIsr.offset) data[0] = std::byte{std::exchange(isr_, std::uint8_t{0})};
  } else if (holds(kDevice, offset)) {
    device_->read_config(offset - kDevice.offset, data);
  } else if (holds(kMsixTable, offset)) {
    msix_.read_table(offset - kMsixTable.offset, data);
  } else if (holds(kMsixPending, offset)) {
    msix_.read_pending(offset - kMsixPending.offset, data);
  }
}

void PciTransport::write_locked(std::uint64_t offset, std::span<const std::byte> data) {
  if (holds(kNotify, offset)) return notify(queue_of(offset));
  if (holds(kMsixTable, offset)) return msix_.write_table(offset - kMsixTable.offset, data);
  if (holds(kDevice, offset)) return device_->write_config(offset - kDevice.offset, data);
  if (!holds(kCommon, offset)) return;
  switch (common_.write(offset - kCommon.offset, data)) {
    case CommonConfig::Request::None:
      return;
    case CommonConfig::Request::Start:
      return start_locked();
    case CommonConfig::Request::Reset:
      return reset_locked();
  }
}

// ---- interrupts

const Fd* PciTransport::call_locked(std::uint16_t vector) const {
  const Fd* const event = msix_.event(vector);
  return event != nullptr ? event : &unheard_;
}

void PciTransport::tell_change_locked() {
  isr_ |= kIsrConfiguration;
  msix_.raise(common_.config_vector());
}

void PciTransport::forget_causes_locked() {
  isr_ = 0;
}

// ---- standing still

void PciTransport::state(devices::StateFields& fields) {
  const uvm::MutexLock lock(mutex_);
  space_.state(fields);
  if (fields.restoring()) {
    bars_.follow(space_);
    msix_.follow(space_);
  }
  msix_.state(fields);
  common_.state(fields);
  fields.field(isr_);
  if (fields.restoring()) go_on_from_locked();
  device_->resting()->state(fields);
}

void PciTransport::go_on_from_locked() {
  const auto activation = place_locked();
  if (!activation) return;
  // One that was on its way to a vCPU when the state was taken may be in neither. Drivers look and find
  // nothing.
  for (const Queue& queue : activation->queues) ::eventfd_write(queue.call->get(), 1);
}

void PciTransport::reset() {
  const uvm::MutexLock lock(mutex_);
  space_.reset();
  msix_.reset();
  bars_.follow(space_);
  msix_.follow(space_);
  reset_locked();
}

PciTransport::Troubles PciTransport::troubles() const {
  const uvm::MutexLock lock(mutex_);
  return {msix_.delivery_failures(), lost_doorbells_};
}

}  // namespace vmm::virtio
