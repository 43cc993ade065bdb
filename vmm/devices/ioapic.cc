#include "vmm/devices/ioapic.h"

#include <bitset>

#include "vmm/devices/registers.h"

namespace vmm::devices {

namespace {

constexpr std::uint8_t kIdRegister = 0x00;
constexpr std::uint8_t kVersionRegister = 0x01;
constexpr std::uint8_t kArbitrationRegister = 0x02;
constexpr std::uint8_t kTableRegister = 0x10;  // two registers a pin, low half first

constexpr std::uint32_t kVersion = 0x20 | (IoApic::kPins - 1) << 16;

// Redirection entry (82093AA, 3.2.4).
constexpr std::uint64_t kVectorMask = 0xff;
constexpr unsigned kModeShift = 8;
constexpr std::uint64_t kModeMask = 0x7;
constexpr std::uint64_t kLogical = std::uint64_t{1} << 11;
constexpr std::uint64_t kRemoteIrr = std::uint64_t{1} << 14;
constexpr std::uint64_t kLevelTriggered = std::uint64_t{1} << 15;
constexpr std::uint64_t kMasked = std::uint64_t{1} << 16;
constexpr unsigned kDestinationShift = 56;
constexpr std::uint64_t kLowWritable = 0x1'afff;  // all but delivery status and remote IRR
constexpr std::uint64_t kHighWritable = std::uint64_t{0xff} << kDestinationShift;

constexpr std::uint64_t kModeExtInt = 7;

// Message (SDM vol. 3, 11.11).
constexpr std::uint64_t kMessageBase = 0xfee0'0000;
constexpr std::uint64_t kMessageLogical = 1 << 2;
constexpr unsigned kMessageDestinationShift = 12;
constexpr std::uint32_t kMessageAssert = 1 << 14;
constexpr std::uint32_t kMessageLevel = 1 << 15;

std::optional<IoApic::Route> route_of(std::uint64_t entry) {
  const std::uint64_t mode = (entry >> kModeShift) & kModeMask;
  if (mode == kModeExtInt) return std::nullopt;  // would ask a PIC for the vector
  IoApic::Route route;
  route.address = kMessageBase | (entry >> kDestinationShift) << kMessageDestinationShift;
  if ((entry & kLogical) != 0) route.address |= kMessageLogical;
  route.data = static_cast<std::uint32_t>((entry & kVectorMask) | mode << kModeShift);
  if ((entry & kLevelTriggered) != 0) route.data |= kMessageLevel | kMessageAssert;
  return route;
}

}  // namespace

IoApic::IoApic(MsiSink& msi) : msi_(msi) {
  for (unsigned pin = 0; pin < kPins; ++pin) {
    lines_[pin].owner = this;
    lines_[pin].pin = pin;
  }
  reset();
}

IrqLine& IoApic::line(unsigned pin) {
  return lines_.at(pin);
}

IoApic::Routes IoApic::routes() const {
  uvm::MutexLock lock(mutex_);
  Routes routes;
  for (unsigned pin = 0; pin < kPins; ++pin) routes[pin] = pins_[pin].route;
  return routes;
}

void IoApic::set_pin(unsigned index, Level level) {
  Outbox outbox;
  {
    uvm::MutexLock lock(mutex_);
    Pin& pin = pins_[index];
    if (pin.level == level) return;
    pin.level = level;
    pin.edge_pending = level == Level::High;
    serve_locked(pin, outbox);
  }
  send(outbox);
}

void IoApic::serve_locked(Pin& pin, Outbox& outbox) {
  if ((pin.entry & kMasked) != 0 || pin.publishing != 0 || !pin.route) return;
  if ((pin.entry & kLevelTriggered) != 0) {
    if (pin.level == Level::Low || (pin.entry & kRemoteIrr) != 0) return;
    pin.entry |= kRemoteIrr;
    pin.in_service = static_cast<std::uint8_t>(pin.entry & kVectorMask);
  } else if (!pin.edge_pending) {
    return;
  }
  pin.edge_pending = false;
  outbox.messages[outbox.count++] = *pin.route;
}

bool IoApic::is_served(const Pin& pin, std::uint8_t vector) {
  return (pin.entry & kRemoteIrr) != 0 && pin.in_service == vector;
}

void IoApic::tell_ends(std::uint8_t vector) {
  std::bitset<kPins> ended;
  {
    const uvm::MutexLock lock(mutex_);
    for (unsigned pin = 0; pin < kPins; ++pin) ended[pin] = is_served(pins_[pin], vector);
  }
  for (unsigned pin = 0; pin < kPins; ++pin) {
    if (ended[pin]) on_level_end_(pin);
  }
}

void IoApic::on_eoi(std::uint8_t vector) {
  if (on_level_end_) tell_ends(vector);
  Outbox outbox;
  {
    uvm::MutexLock lock(mutex_);
    end_locked(vector, outbox);
  }
  send(outbox);
}

void IoApic::end_locked(std::uint8_t vector, Outbox& outbox) {
  for (Pin& pin : pins_) {
    if (!is_served(pin, vector)) continue;
    pin.entry &= ~kRemoteIrr;
    serve_locked(pin, outbox);
  }
}

void IoApic::send(const Outbox& outbox) {
  for (std::size_t i = 0; i < outbox.count; ++i) {
    if (!msi_.send(outbox.messages[i].address, outbox.messages[i].data)) ++failures_;
  }
}

void IoApic::read(std::uint64_t offset, std::span<std::byte> data) {
  uvm::MutexLock lock(mutex_);
  std::uint64_t value = 0;
  if (offset == kSelectOffset) value = select_;
  if (offset >= kWindowOffset && offset < kWindowOffset + 4) {
    value = read_window_locked() >> ((offset - kWindowOffset) * 8);
  }
  store_le(data, value);
}

void IoApic::write(std::uint64_t offset, std::span<const std::byte> data) {
  const auto value = static_cast<std::uint32_t>(load_le(data));
  switch (offset) {
    case kSelectOffset: {
      uvm::MutexLock lock(mutex_);
      select_ = static_cast<std::uint8_t>(value);
      return;
    }
    case kWindowOffset:
      if (data.size() >= 4) write_window(value);  // the data sheet knows no narrower write
      return;
    case kEoiOffset:
      on_eoi(static_cast<std::uint8_t>(value));
      return;
    default:
      return;
  }
}

std::uint32_t IoApic::read_window_locked() const {
  switch (select_) {
    case kIdRegister:
    case kArbitrationRegister:
      return static_cast<std::uint32_t>(id_) << 24;
    case kVersionRegister:
      return kVersion;
    default:
      break;
  }
  const unsigned index = select_ - static_cast<unsigned>(kTableRegister);
  if (select_ < kTableRegister || index >= kPins * 2) return 0;
  const std::uint64_t entry = pins_[index / 2].entry;
  return static_cast<std::uint32_t>(index % 2 == 0 ? entry : entry >> 32);
}

void IoApic::write_window(std::uint32_t value) {
  Outbox outbox;
  Pin* changed = nullptr;
  {
    uvm::MutexLock lock(mutex_);
    const unsigned index = select_ - static_cast<unsigned>(kTableRegister);
    if (select_ == kIdRegister) {
      id_ = (value >> 24) & 0x0f;
    } else if (select_ >= kTableRegister && index < kPins * 2) {
      changed = write_entry_locked(index, value, outbox);
    }
  }
  send(outbox);
  if (changed == nullptr) return;
  // Nothing leaves the pin until KVM knows of the route: an interrupt that was served and ended before that
  // would leave remote IRR up for ever.
  if (on_routes_changed_) on_routes_changed_();
  Outbox held_back;
  {
    uvm::MutexLock lock(mutex_);
    --changed->publishing;
    serve_locked(*changed, held_back);
  }
  send(held_back);
}

IoApic::Pin* IoApic::write_entry_locked(unsigned index, std::uint32_t value, Outbox& outbox) {
  Pin& pin = pins_[index / 2];
  if (index % 2 == 0) {
    pin.entry = (pin.entry & ~kLowWritable) | (value & kLowWritable);
    if ((pin.entry & kLevelTriggered) == 0) pin.entry &= ~kRemoteIrr;
  } else {
    pin.entry = (pin.entry & ~kHighWritable) | (std::uint64_t{value} << 32 & kHighWritable);
  }
  if ((pin.entry & kMasked) != 0) return nullptr;
  const std::optional<Route> route = route_of(pin.entry);
  if (route == pin.route) {
    serve_locked(pin, outbox);
    return nullptr;
  }
  pin.route = route;
  ++pin.publishing;
  return &pin;
}

void IoApic::pin_state(Pin& pin, StateFields& fields) {
  fields.field(pin.entry);
  fields.field(pin.level);
  fields.require(pin.level == Level::Low || pin.level == Level::High, "line");
  fields.field(pin.edge_pending);
  fields.field(pin.in_service);
  // A masked pin keeps the route it had, which its entry need not tell any more.
  bool routed = pin.route.has_value();
  Route route = pin.route.value_or(Route{});
  fields.field(routed);
  fields.field(route.address);
  fields.field(route.data);
  constexpr std::uint64_t kMessagePage = 0xf'f000;
  fields.require((route.address & ~(kMessagePage | kMessageLogical)) == (routed ? kMessageBase : 0), "route");
  pin.route = routed ? std::optional<Route>(route) : std::nullopt;
}

void IoApic::state(StateFields& fields) {
  {
    uvm::MutexLock lock(mutex_);
    fields.field(select_);
    fields.field(id_);
    for (Pin& pin : pins_) pin_state(pin, fields);
  }
  if (fields.restoring() && on_routes_changed_) on_routes_changed_();
}

void IoApic::reset() {
  uvm::MutexLock lock(mutex_);
  select_ = 0;
  id_ = 0;
  for (Pin& pin : pins_) {
    pin.entry = kMasked;
    pin.edge_pending = pin.level == Level::High;
    pin.in_service = 0;
    pin.route.reset();
  }
}

}  // namespace vmm::devices
