#include "vmm/devices/msix_table.h"

#include <sys/eventfd.h>

#include <array>

#include "vmm/devices/registers.h"

namespace vmm::devices {
namespace {

constexpr std::uint64_t kControl = 2;  // from the capability's begin
constexpr std::uint16_t kControlEnable = 1 << 15;
constexpr std::uint16_t kControlMask = 1 << 14;
constexpr std::uint32_t kEntryMasked = 1;

}  // namespace

MsixTable::MsixTable(MsiSink& sink, unsigned vectors) : sink_(sink), vectors_(vectors) {}

uvm::Status MsixTable::back_by_events(MsiEvents& events) {
  for (Vector& vector : vectors_) {
    UVMM_TRY(vector.event, events.create_event());
  }
  return uvm::ok();
}

const Fd* MsixTable::event(unsigned vector) const {
  const bool has_one = vector < vectors_.size() && vectors_[vector].event;
  return has_one ? &vectors_[vector].event->event() : nullptr;
}

uvm::Status MsixTable::add_capability(PciConfigSpace& config, const Place& place) {
  std::array<std::byte, 10> body{};
  store_le(std::span(body).subspan(0, 2), vectors_.size() - 1);
  store_le(std::span(body).subspan(2, 4), place.table | place.bar);
  store_le(std::span(body).subspan(6, 4), place.pending | place.bar);
  UVMM_TRY(const std::uint64_t offset, config.add_capability(pci::kCapabilityMsix, body));
  set_capability(config, offset);
  return uvm::ok();
}

void MsixTable::set_capability(PciConfigSpace& config, std::uint64_t offset) {
  capability_ = offset;
  config.set_writable(offset + kControl, kControlEnable | kControlMask, 2);
}

void MsixTable::follow(const PciConfigSpace& config) {
  if (capability_ == 0) return;
  const std::uint64_t control = config.get(capability_ + kControl, 2);
  const bool enabled = (control & kControlEnable) != 0;
  const bool masked = (control & kControlMask) != 0;
  if (enabled == enabled_ && masked == function_masked_) return;
  enabled_ = enabled;
  function_masked_ = masked;
  for (Vector& vector : vectors_) update(vector);
}

std::uint32_t MsixTable::word(const Vector& vector, std::uint64_t index) {
  switch (index) {
    case 0:
      return static_cast<std::uint32_t>(vector.message.address);
    case 1:
      return static_cast<std::uint32_t>(vector.message.address >> 32);
    case 2:
      return vector.message.data;
    default:
      return vector.control;
  }
}

void MsixTable::set_word(Vector& vector, std::uint64_t index, std::uint32_t value) {
  constexpr std::uint64_t kLow = 0xffff'ffff;
  switch (index) {
    case 0:
      vector.message.address = (vector.message.address & ~kLow) | (value & ~std::uint32_t{3});
      break;
    case 1:
      vector.message.address = (vector.message.address & kLow) | std::uint64_t{value} << 32;
      break;
    case 2:
      vector.message.data = value;
      break;
    default:
      vector.control = value & kEntryMasked;
      break;
  }
}

void MsixTable::read_table(std::uint64_t offset, std::span<std::byte> data) const {
  for (std::byte& byte : data) {
    const std::uint64_t index = offset / kEntryBytes;
    const std::uint32_t value = index < vectors_.size() ? word(vectors_[index], offset % kEntryBytes / 4) : 0;
    byte = static_cast<std::byte>(value >> (offset % 4 * 8));
    ++offset;
  }
}

void MsixTable::write_table(std::uint64_t offset, std::span<const std::byte> data) {
  // The specification knows whole words only; of narrower writes the other bytes stay.
  while (!data.empty()) {
    const std::uint64_t index = offset / kEntryBytes;
    if (index >= vectors_.size()) return;
    const std::uint64_t shift = offset % 4;
    const std::size_t count = std::min<std::size_t>(data.size(), 4 - shift);
    Vector& vector = vectors_[index];
    std::array<std::byte, 4> bytes{};
    store_le(bytes, word(vector, offset % kEntryBytes / 4));
    std::ranges::copy(data.first(count), bytes.begin() + static_cast<std::ptrdiff_t>(shift));
    set_word(vector, offset % kEntryBytes / 4, static_cast<std::uint32_t>(load_le(bytes)));
    update(vector);
    offset += count;
    data = data.subspan(count);
  }
}

void MsixTable::read_pending(std::uint64_t offset, std::span<std::byte> data) const {
  for (std::byte& byte : data) {
    unsigned bits = 0;
    for (unsigned bit = 0; bit < 8; ++bit) {
      const std::uint64_t index = offset * 8 + bit;
      if (index < vectors_.size() && is_pending(vectors_[index])) bits |= 1U << bit;
    }
    byte = static_cast<std::byte>(bits);
    ++offset;
  }
}

bool MsixTable::deliverable(const Vector& vector) const {
  return enabled_ && !function_masked_ && (vector.control & kEntryMasked) == 0;
}

bool MsixTable::is_pending(const Vector& vector) {
  return vector.event ? vector.event->pending() : vector.pending;
}

void MsixTable::update(Vector& vector) {
  if (!deliverable(vector)) {
    if (vector.event) vector.event->hold();
    return;
  }
  if (vector.event) return count(vector.event->deliver(vector.message));
  if (!vector.pending) return;
  vector.pending = false;
  count(sink_.send(vector.message.address, vector.message.data));
}

void MsixTable::raise(unsigned vector) {
  if (vector < vectors_.size()) raise(vectors_[vector]);
}

void MsixTable::raise(Vector& raised) {
  if (raised.event) {
    ::eventfd_write(raised.event->event().get(), 1);
    return;
  }
  raised.pending = true;
  update(raised);
}

void MsixTable::reset() {
  for (Vector& vector : vectors_) {
    vector.message = {};
    vector.control = kEntryMasked;
    drop_pending(vector);
  }
}

void MsixTable::drop_pending(Vector& vector) {
  vector.pending = false;
  if (!vector.event) return;
  vector.event->hold();
  eventfd_t dropped = 0;
  ::eventfd_read(vector.event->event().get(), &dropped);
}

void MsixTable::state(StateFields& fields) {
  for (Vector& vector : vectors_) {
    bool pending = is_pending(vector);
    fields.field(vector.message.address);
    fields.field(vector.message.data);
    fields.field(vector.control);
    fields.field(pending);
    vector.message.address &= ~std::uint64_t{3};
    vector.control &= kEntryMasked;
    if (!fields.restoring()) continue;
    drop_pending(vector);
    update(vector);
    if (pending) raise(vector);
  }
}

void MsixTable::count(const uvm::Status& status) {
  if (!status) ++failures_;
}

}  // namespace vmm::devices
