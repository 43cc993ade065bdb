#include "vmm/virtio/common_config.h"

#include <array>
#include <bit>

#include "vmm/devices/registers.h"
#include "vmm/virtio/device.h"

namespace vmm::virtio {

using devices::load_le;
using devices::store_le;

namespace {

constexpr std::uint8_t kOfTheDriver =
    status::kAcknowledge | status::kDriver | status::kDriverOk | status::kFeaturesOk | status::kFailed;

std::uint64_t half_of(std::uint64_t features, std::uint32_t select) {
  return select < 2 ? features >> (32 * select) & 0xffff'ffff : 0;
}

}  // namespace

enum class CommonConfig::Register : std::uint8_t {
  OfferedSelect,
  Offered,
  AcceptedSelect,
  Accepted,
  ConfigVector,
  Queues,
  Status,
  Generation,
  QueueSelect,
  QueueSize,
  QueueVector,
  QueueEnable,
  QueueNotify,
  Descriptors,
  DriverArea,
  DeviceArea,
};

struct CommonConfig::Place {
  Register which;
  std::uint64_t offset;
  std::size_t bytes;
};

struct CommonConfig::Map {
  static constexpr std::array<Place, 16> kPlaces{{
      {Register::OfferedSelect, 0, 4},
      {Register::Offered, 4, 4},
      {Register::AcceptedSelect, 8, 4},
      {Register::Accepted, 12, 4},
      {Register::ConfigVector, 16, 2},
      {Register::Queues, 18, 2},
      {Register::Status, 20, 1},
      {Register::Generation, 21, 1},
      {Register::QueueSelect, 22, 2},
      {Register::QueueSize, 24, 2},
      {Register::QueueVector, 26, 2},
      {Register::QueueEnable, 28, 2},
      {Register::QueueNotify, 30, 2},
      {Register::Descriptors, 32, 8},
      {Register::DriverArea, 40, 8},
      {Register::DeviceArea, 48, 8},
  }};
};

CommonConfig::CommonConfig(const Shape& shape) : shape_(shape) {
  complete_reset();
}

void CommonConfig::complete_reset() {
  resetting_ = false;
  offered_select_ = accepted_select_ = 0;
  accepted_ = 0;
  config_vector_ = kNoVector;
  status_ = 0;
  queue_select_ = 0;
  QueueRegisters fresh;
  fresh.size = shape_.queue_limit;
  queues_.assign(shape_.queues, fresh);
}

const CommonConfig::QueueRegisters& CommonConfig::selected() const {
  static constexpr QueueRegisters kNone{};
  return queue_select_ < queues_.size() ? queues_[queue_select_] : kNone;
}

std::uint16_t CommonConfig::vector_or_none(std::uint64_t value) const {
  return value < shape_.vectors ? static_cast<std::uint16_t>(value) : kNoVector;
}

std::uint64_t CommonConfig::get(Register which) const {
  switch (which) {
    case Register::OfferedSelect:
      return offered_select_;
    case Register::Offered:
      return half_of(shape_.features, offered_select_);
    case Register::AcceptedSelect:
      return accepted_select_;
    case Register::Accepted:
      return half_of(accepted_, accepted_select_);
    case Register::ConfigVector:
      return config_vector_;
    case Register::Queues:
      return queues_.size();
    case Register::Status:
      return status_;
    case Register::Generation:
      return generation_;
    case Register::QueueSelect:
      return queue_select_;
    case Register::QueueSize:
      return selected().size;
    case Register::QueueVector:
      return selected().vector;
    case Register::QueueEnable:
      return selected().enabled ? 1 : 0;
    case Register::QueueNotify:
      return queue_select_ < queues_.size() ? queue_select_ : 0;
    case Register::Descriptors:
      return selected().descriptors;
    case Register::DriverArea:
      return selected().driver_area;
    case Register::DeviceArea:
      return selected().device_area;
  }
  return 0;
}

void CommonConfig::set(Register which, std::uint64_t value) {
  switch (which) {
    case Register::OfferedSelect:
      offered_select_ = static_cast<std::uint32_t>(value);
      break;
    case Register::AcceptedSelect:
      accepted_select_ = static_cast<std::uint32_t>(value);
      break;
    case Register::Accepted:
      set_accepted(value);
      break;
    case Register::ConfigVector:
      config_vector_ = vector_or_none(value);
      break;
    case Register::Status:
      set_status(static_cast<std::uint8_t>(value));
      break;
    case Register::QueueSelect:
      queue_select_ = static_cast<std::uint16_t>(value);
      break;
    default:
      set_of_queue(which, value);
      break;
  }
}

void CommonConfig::set_of_queue(Register which, std::uint64_t value) {
  if (queue_select_ >= queues_.size() || (status_ & status::kDriverOk) != 0) return;
  QueueRegisters& queue = queues_[queue_select_];
  if (queue.enabled) return;
  switch (which) {
    case Register::QueueSize:
      if (std::has_single_bit(value) && value <= shape_.queue_limit)
        queue.size = static_cast<std::uint16_t>(value);
      break;
    case Register::QueueVector:
      queue.vector = vector_or_none(value);
      break;
    case Register::QueueEnable:
      queue.enabled = value == 1;
      break;
    case Register::Descriptors:
      queue.descriptors = value;
      break;
    case Register::DriverArea:
      queue.driver_area = value;
      break;
    case Register::DeviceArea:
      queue.device_area = value;
      break;
    default:
      break;  // read-only
  }
}

void CommonConfig::set_accepted(std::uint64_t half) {
  if (accepted_select_ >= 2 || (status_ & status::kFeaturesOk) != 0) return;
  const unsigned shift = 32 * accepted_select_;
  accepted_ = (accepted_ & ~(std::uint64_t{0xffff'ffff} << shift)) | half << shift;
}

void CommonConfig::set_status(std::uint8_t value) {
  if (value == 0) {
    resetting_ = true;
    request_ = Request::Reset;
    return;
  }
  const std::uint8_t before = status_;
  status_ |= static_cast<std::uint8_t>(value & kOfTheDriver);
  if ((before & status::kFeaturesOk) == 0) {
    const bool agreed = (accepted_ & ~shape_.features) == 0 && (accepted_ & kFeatureVersion1) != 0;
    if (!agreed) status_ &= static_cast<std::uint8_t>(~(status::kFeaturesOk | status::kDriverOk));
  }
  constexpr std::uint8_t kGo = status::kFeaturesOk | status::kDriverOk;
  if ((status_ & kGo) == kGo && (before & status::kDriverOk) == 0) request_ = Request::Start;
}

void CommonConfig::state(devices::StateFields& fields) {
  fields.field(offered_select_);
  fields.field(accepted_select_);
  fields.field(accepted_);
  fields.field(config_vector_);
  fields.field(status_);
  fields.field(generation_);
  fields.field(queue_select_);
  for (QueueRegisters& queue : queues_) {
    fields.field(queue.size);
    fields.field(queue.vector);
    fields.field(queue.enabled);
    fields.field(queue.descriptors);
    fields.field(queue.driver_area);
    fields.field(queue.device_area);
    fields.require(std::has_single_bit(queue.size) && queue.size <= shape_.queue_limit, "queue's size");
    fields.require(queue.vector == vector_or_none(queue.vector), "queue's vector");
  }
  fields.require(config_vector_ == vector_or_none(config_vector_), "vector");
  fields.require((status_ & status::kDriverOk) == 0 || (accepted_ & ~shape_.features) == 0,
                 "set of features");
}

void CommonConfig::read(std::uint64_t offset, std::span<std::byte> data) const {
  std::array<std::byte, kBytes> image{};
  for (const Place& place : Map::kPlaces) {
    store_le(std::span(image).subspan(place.offset, place.bytes), get(place.which));
  }
  devices::read_block(image, offset, data);
}

CommonConfig::Request CommonConfig::write(std::uint64_t offset, std::span<const std::byte> data) {
  if (resetting_) return Request::None;
  request_ = Request::None;
  const std::uint64_t end = offset + data.size();
  for (const Place& place : Map::kPlaces) {
    if (end <= place.offset || place.offset + place.bytes <= offset) continue;
    std::array<std::byte, 8> bytes{};
    store_le(bytes, get(place.which));
    for (std::size_t i = 0; i < place.bytes; ++i) {
      const std::uint64_t at = place.offset + i;
      if (offset <= at && at < end) bytes.at(i) = data[at - offset];
    }
    set(place.which, load_le(bytes));
  }
  return request_;
}

}  // namespace vmm::virtio
