#include "vmm/virtio/mmio_transport.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "vmm/devices/registers.h"

namespace vmm::virtio {
namespace {

constexpr std::uint32_t kMagic = 0x7472'6976;  // "virt"
constexpr std::uint32_t kVersion = 2;
constexpr std::uint32_t kNoSharedMemory = 0xffff'ffff;

// Offsets (virtio 1.2, 4.2.2).
constexpr std::uint64_t kMagicOffset = 0x00;
constexpr std::uint64_t kVersionOffset = 0x04;
constexpr std::uint64_t kDeviceId = 0x08;
constexpr std::uint64_t kVendorId = 0x0c;
constexpr std::uint64_t kQueueSelect = 0x30;
constexpr std::uint64_t kQueueLimit = 0x34;
constexpr std::uint64_t kQueueNotify = 0x50;
constexpr std::uint64_t kInterruptStatus = 0x60;
constexpr std::uint64_t kInterruptAck = 0x64;
constexpr std::uint64_t kStatus = 0x70;
constexpr std::uint64_t kSharedMemoryBegin = 0xb0;
constexpr std::uint64_t kSharedMemoryEnd = 0xc0;
constexpr std::uint64_t kConfig = 0x100;
constexpr std::size_t kWord = 4;

// Causes of the interrupt.
constexpr std::uint32_t kUsedBuffer = 1;
constexpr std::uint32_t kConfigChange = 2;

constexpr std::uint64_t kCommonQueueSelect = 22;
constexpr std::chrono::seconds kResetLimit{1};

/// A register that CommonConfig has.
struct Place {
  std::uint64_t offset;  // here
  std::uint64_t common;  // there
  std::size_t bytes;     // there
  enum class Way : std::uint8_t { Read, Write, Both } way;
};

constexpr std::array<Place, 14> kPlaces{{
    {0x10, 4, 4, Place::Way::Read},    // offered features
    {0x14, 0, 4, Place::Way::Write},   // which half of them
    {0x20, 12, 4, Place::Way::Write},  // accepted features
    {0x24, 8, 4, Place::Way::Write},   // which half of them
    {kQueueSelect, kCommonQueueSelect, 2, Place::Way::Write},
    {0x38, 24, 2, Place::Way::Write},  // the queue's size
    {0x44, 28, 2, Place::Way::Both},   // ready
    {kStatus, 20, 1, Place::Way::Both},
    {0x80, 32, 4, Place::Way::Write},  // descriptors, and their upper half
    {0x84, 36, 4, Place::Way::Write},
    {0x90, 40, 4, Place::Way::Write},  // what is available
    {0x94, 44, 4, Place::Way::Write},
    {0xa0, 48, 4, Place::Way::Write},  // what is used
    {0xa4, 52, 4, Place::Way::Write},
}};
constexpr Place kGeneration{0xfc, 21, 1, Place::Way::Read};

const Place* place_at(std::uint64_t offset, Place::Way way) {
  if (offset == kGeneration.offset && way == Place::Way::Read) return &kGeneration;
  const auto found = std::ranges::find(kPlaces, offset, &Place::offset);
  if (found == kPlaces.end()) return nullptr;
  return found->way == way || found->way == Place::Way::Both ? &*found : nullptr;
}

}  // namespace

MmioTransport::MmioTransport(std::string name, const Environment& environment, std::unique_ptr<Device> device)
    : Transport(std::move(name), std::move(device), Vectors::None, environment.is_ram),
      environment_(environment) {}

MmioTransport::~MmioTransport() {
  finish();  // its threads call back
}

uvm::Result<std::unique_ptr<MmioTransport>> MmioTransport::create(const std::string& name,
                                                                  const Environment& environment,
                                                                  std::unique_ptr<Device> device) {
  std::unique_ptr<MmioTransport> made(new MmioTransport(name, environment, std::move(device)));
  if (auto built = made->build(); !built) return std::move(built).error().with_context(name);
  return made;
}

uvm::Status MmioTransport::build() {
  UVMM_TRY(call_, make_event());
  UVMM_CHECK(open_kicks());
  calls_.emplace(environment_.io, call_.get());
  listen();
  return device_->attach(*this);
}

// ---- interrupts

void MmioTransport::listen() {
  calls_->wait(FdWatch::For::Reading, [this] {
    called();
    listen();
  });
}

void MmioTransport::called() {
  eventfd_t count = 0;
  if (::eventfd_read(call_.get(), &count) != 0) return;
  const uvm::MutexLock lock(mutex_);
  raise_locked(kUsedBuffer);
}

void MmioTransport::raise_locked(std::uint32_t cause) {
  causes_ |= cause;
  update_line_locked();
}

void MmioTransport::update_line_locked() {
  environment_.line.set_level(causes_ != 0 ? devices::Level::High : devices::Level::Low);
}

// ---- registers

void MmioTransport::read(std::uint64_t offset, std::span<std::byte> data) {
  std::ranges::fill(data, std::byte{0});
  const uvm::MutexLock lock(mutex_);
  if (offset >= kConfig) return device_->read_config(offset - kConfig, data);
  if (data.size() == kWord && offset % kWord == 0) devices::store_le(data, get_locked(offset));
}

std::uint32_t MmioTransport::get_locked(std::uint64_t offset) const {
  if (const Place* const place = place_at(offset, Place::Way::Read)) {
    std::array<std::byte, kWord> bytes{};
    common_.read(place->common, std::span(bytes).first(place->bytes));
    return static_cast<std::uint32_t>(devices::load_le(bytes));
  }
  switch (offset) {
    case kMagicOffset:
      return kMagic;
    case kVersionOffset:
      return kVersion;
    case kDeviceId:
      return static_cast<std::uint32_t>(device_->type());
    case kVendorId:
      return kVendor;
    case kQueueLimit: {
      std::array<std::byte, 2> selected{};
      common_.read(kCommonQueueSelect, selected);
      return devices::load_le(selected) < device_->queues() ? device_->queue_limit() : 0;
    }
    case kInterruptStatus:
      return causes_;
    default:
      return kSharedMemoryBegin <= offset && offset < kSharedMemoryEnd ? kNoSharedMemory : 0;
  }
}

void MmioTransport::write(std::uint64_t offset, std::span<const std::byte> data) {
  const bool is_word = data.size() == kWord && offset % kWord == 0;
  const auto value = static_cast<std::uint32_t>(is_word ? devices::load_le(data) : 0);
  if (offset == kQueueNotify && is_word) return notify(value);  // without the lock
  const uvm::MutexLock lock(mutex_);
  if (offset >= kConfig) return device_->write_config(offset - kConfig, data);
  if (is_word) set_locked(offset, value);
}

void MmioTransport::set_locked(std::uint64_t offset, std::uint32_t value) {
  if (offset == kInterruptAck) {
    causes_ &= ~value;
    return update_line_locked();
  }
  const Place* const place = place_at(offset, Place::Way::Write);
  if (place == nullptr) return;
  // What does not fit is no register's value.
  if (place->bytes < kWord && value >> (8 * place->bytes) != 0) return;
  write_common_locked(place->common, value, place->bytes);
}

void MmioTransport::write_common_locked(std::uint64_t offset, std::uint32_t value, std::size_t bytes) {
  std::array<std::byte, kWord> data{};
  devices::store_le(data, value);
  switch (common_.write(offset, std::span(data).first(bytes))) {
    case CommonConfig::Request::None:
      return;
    case CommonConfig::Request::Start:
      return start_locked();
    case CommonConfig::Request::Reset:
      reset_locked();
      return wait_for_reset_locked();
  }
}

void MmioTransport::wait_for_reset_locked() {
  const auto limit = std::chrono::steady_clock::now() + kResetLimit;
  while (life_ == Life::Stopping) {
    if (reset_done_.wait_until(mutex_, limit) == std::cv_status::timeout) return;
  }
}

const Fd* MmioTransport::call_locked(std::uint16_t /*vector*/) const {
  return &call_;
}

void MmioTransport::tell_change_locked() {
  raise_locked(kConfigChange);
}

void MmioTransport::forget_causes_locked() {
  causes_ = 0;
  update_line_locked();
  reset_done_.notify_all();
}

// ---- standing still

void MmioTransport::state(devices::StateFields& fields) {
  // What was on its way to the register.
  if (!fields.restoring()) called();
  const uvm::MutexLock lock(mutex_);
  common_.state(fields);
  fields.field(causes_);
  fields.require(causes_ <= (kUsedBuffer | kConfigChange), "cause of an interrupt");
  if (fields.restoring()) {
    (void)place_locked();
    update_line_locked();
  }
  device_->resting()->state(fields);
}

}  // namespace vmm::virtio
