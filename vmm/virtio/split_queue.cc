#include "vmm/virtio/split_queue.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <utility>

#include "uvm/access.h"
#include "vmm/devices/registers.h"

namespace vmm::virtio {
namespace {

// Places in the rings (virtio 1.2, 2.7.5 to 2.7.8).
constexpr std::uint64_t kDescriptorBytes = 16;
constexpr std::uint64_t kFlags = 0;
constexpr std::uint64_t kIndex = 2;
constexpr std::uint64_t kEntries = 4;
constexpr std::uint64_t kAvailableEntryBytes = 2;
constexpr std::uint64_t kUsedEntryBytes = 8;
constexpr std::uint64_t kEventBytes = 2;  // behind the entries of each

constexpr std::uint16_t kNext = 1;
constexpr std::uint16_t kWrite = 2;
constexpr std::uint16_t kIndirect = 4;
constexpr std::uint16_t kNoInterrupt = 1;
constexpr std::uint16_t kNoNotification = 1;

/// Entries of an indirect table at least that are followed: drivers make them longer than a short ring.
constexpr std::uint32_t kIndirectEntries = 1024;

std::atomic_ref<std::uint16_t> word(std::byte* at) {
  return std::atomic_ref<std::uint16_t>(*reinterpret_cast<std::uint16_t*>(at));
}

std::uint64_t available_bytes(std::uint16_t size) {
  return kEntries + kAvailableEntryBytes * size + kEventBytes;
}

std::uint64_t used_bytes(std::uint16_t size) {
  return kEntries + kUsedEntryBytes * size + kEventBytes;
}

}  // namespace

struct SplitQueue::Descriptor {
  std::uint64_t gpa;
  std::uint32_t bytes;
  std::uint16_t flags;
  std::uint16_t next;

  explicit Descriptor(std::span<const std::byte, kDescriptorBytes> at)
      : gpa(devices::load_le(at.subspan<0, 8>())),
        bytes(static_cast<std::uint32_t>(devices::load_le(at.subspan<8, 4>()))),
        flags(static_cast<std::uint16_t>(devices::load_le(at.subspan<12, 2>()))),
        next(static_cast<std::uint16_t>(devices::load_le(at.subspan<14, 2>()))) {}
};

struct SplitQueue::Table {
  std::span<const std::byte> bytes;
  enum class Kind : std::uint8_t { Ring, Indirect } kind;

  [[nodiscard]] std::size_t size() const { return bytes.size() / kDescriptorBytes; }
  /// A copy: what the driver changes later changes nothing.
  [[nodiscard]] Descriptor at(std::size_t index) const {
    std::array<std::byte, kDescriptorBytes> copy{};
    std::memcpy(copy.data(), bytes.data() + index * kDescriptorBytes, copy.size());
    return Descriptor(copy);
  }
};

uvm::Result<SplitQueue> SplitQueue::create(const Surroundings& around, const Queue& queue,
                                           std::uint64_t features, QueuePosition position) {
  SplitQueue made(around, queue, features, position);
  UVMM_CHECK(made.map());
  return made;
}

uvm::Status SplitQueue::map() {
  const auto ring = [](std::uint64_t gpa, std::uint64_t bytes) {
    return uvm::GpaRange::from_size(uvm::Gpa(gpa), bytes).value_or(uvm::GpaRange());
  };
  const std::array parts{ring(queue_.descriptors, kDescriptorBytes * queue_.size),
                         ring(queue_.driver_area, available_bytes(queue_.size)),
                         ring(queue_.device_area, used_bytes(queue_.size))};
  std::vector<uvm::GpaRange> pages;
  for (const uvm::GpaRange& part : parts) pages.push_back(part.page_cover().value_or(uvm::GpaRange()));
  uvm::PinRequest request;
  request.owner = around_.owner;
  UVMM_TRY(pin_, uvm::Pin::create(around_.space, pages, request));
  const std::array places{&descriptors_, &available_, &used_};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::span<std::byte> bytes = pin_->bytes(parts.at(i));
    if (bytes.empty()) {
      return uvm::Error(uvm::ErrorKind::Unsupported, "a ring of queue " + std::to_string(queue_.index) +
                                                         " at " + uvm::to_string(parts.at(i)) +
                                                         " can't be shown in one piece");
    }
    *places.at(i) = bytes.data();
  }
  return uvm::ok();
}

uvm::Error SplitQueue::broken(const std::string& how) const {
  return {uvm::ErrorKind::Invalid, "queue " + std::to_string(queue_.index) + ": " + how};
}

// ---- what is available

uvm::Result<bool> SplitQueue::pop(Chain& chain) {
  const std::uint16_t offered = word(available_ + kIndex).load(std::memory_order_acquire);
  if (!broken_ && offered == position_.taken) return false;
  if (broken_ || static_cast<std::uint16_t>(offered - position_.taken) > queue_.size) {
    broken_ = true;
    return broken("more chains are available than it has entries");
  }
  const std::uint64_t place = position_.taken % queue_.size;
  const std::uint16_t head =
      word(available_ + kEntries + kAvailableEntryBytes * place).load(std::memory_order_relaxed);
  UVMM_CHECK(look_at(head, chain));
  ++position_.taken;
  return true;
}

uvm::Status SplitQueue::walk(std::uint16_t head, Chain& chain) {
  chain.head = head;
  chain.readable.clear();
  chain.writable.clear();
  const Table ring{std::span(descriptors_, kDescriptorBytes * queue_.size), Table::Kind::Ring};
  return follow(ring, head, chain);
}

uvm::Status SplitQueue::follow(const Table& table, std::uint16_t first, Chain& chain) {
  std::size_t at = first;
  for (std::size_t count = 0; count < table.size(); ++count) {
    if (at >= table.size()) return broken("descriptor " + std::to_string(at) + " is behind the table's end");
    const Descriptor descriptor = table.at(at);
    if ((descriptor.flags & kIndirect) != 0) {
      if (table.kind == Table::Kind::Indirect || !has(kFeatureIndirect) || (descriptor.flags & kNext) != 0) {
        return broken("an indirect table is where none can be");
      }
      return follow_indirect(descriptor, chain);
    }
    UVMM_CHECK(add(descriptor, chain));
    if ((descriptor.flags & kNext) == 0) return uvm::ok();
    at = descriptor.next;
  }
  return broken("a chain has no end");
}

uvm::Status SplitQueue::follow_indirect(const Descriptor& descriptor, Chain& chain) {
  const std::uint32_t entries = descriptor.bytes / kDescriptorBytes;
  if (entries == 0 || descriptor.bytes % kDescriptorBytes != 0 ||
      entries > std::max<std::uint32_t>(queue_.size, kIndirectEntries)) {
    return broken("an indirect table of " + std::to_string(descriptor.bytes) + " bytes");
  }
  if (!around_.is_ram(descriptor.gpa, descriptor.bytes)) {
    return broken("an indirect table at " + uvm::hex(descriptor.gpa) + ", where there is no memory");
  }
  indirect_.resize(descriptor.bytes);
  UVMM_CHECK(uvm::Access::read(around_.space, uvm::Gpa(descriptor.gpa), indirect_));
  return follow({indirect_, Table::Kind::Indirect}, 0, chain);
}

uvm::Status SplitQueue::add(const Descriptor& descriptor, Chain& chain) const {
  const bool writes = (descriptor.flags & kWrite) != 0;
  if (!writes && !chain.writable.empty()) return broken("a part to be read is behind one to be written");
  if (descriptor.bytes == 0) return uvm::ok();
  if (!around_.is_ram(descriptor.gpa, descriptor.bytes)) {
    return broken("a part at " + uvm::hex(descriptor.gpa) + "+" + uvm::hex(descriptor.bytes) +
                  ", where there is no memory");
  }
  (writes ? chain.writable : chain.readable).push_back({descriptor.gpa, descriptor.bytes});
  return uvm::ok();
}

// ---- what is used

void SplitQueue::push(std::uint16_t head, std::uint32_t written) {
  std::byte* const entry = used_ + kEntries + kUsedEntryBytes * (position_.returned % queue_.size);
  devices::store_le(std::span(entry, 4), head);
  devices::store_le(std::span(entry + 4, 4), written);
  ++position_.returned;
}

void SplitQueue::publish() {
  if (published_ == position_.returned) return;
  const std::uint16_t before = std::exchange(published_, position_.returned);
  word(used_ + kIndex).store(published_, std::memory_order_release);
  // The driver writes what it wants and then looks at the index; here it is the other way round.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (wants_interrupt(before)) ::eventfd_write(queue_.call->get(), 1);
}

bool SplitQueue::wants_interrupt(std::uint16_t before) const {
  if (!has(kFeatureEventIndex)) {
    return (word(available_ + kFlags).load(std::memory_order_relaxed) & kNoInterrupt) == 0;
  }
  const std::uint16_t wanted =
      word(available_ + kEntries + kAvailableEntryBytes * queue_.size).load(std::memory_order_relaxed);
  // Virtio 1.2, 2.7.10: whether the index went past the one that was named.
  return static_cast<std::uint16_t>(published_ - wanted - 1) <
         static_cast<std::uint16_t>(published_ - before);
}

// ---- what another device has left

RingContents SplitQueue::contents() const {
  RingContents found;
  found.available = word(available_ + kIndex).load(std::memory_order_acquire);
  found.used = word(used_ + kIndex).load(std::memory_order_acquire);
  for (std::uint64_t i = 0; i < queue_.size; ++i) {
    found.available_heads.push_back(
        word(available_ + kEntries + kAvailableEntryBytes * i).load(std::memory_order_relaxed));
    found.used_heads.push_back(word(used_ + kEntries + kUsedEntryBytes * i).load(std::memory_order_relaxed));
  }
  return found;
}

uvm::Status SplitQueue::look_at(std::uint16_t head, Chain& chain) {
  auto walked = walk(head, chain);
  broken_ |= !walked;
  return walked;
}

// ---- notifications

void SplitQueue::hush() {
  // With event indices the one that was named last lies behind, so that nothing comes.
  if (!has(kFeatureEventIndex)) word(used_ + kFlags).store(kNoNotification, std::memory_order_relaxed);
}

bool SplitQueue::listen() {
  if (has(kFeatureEventIndex)) {
    word(used_ + kEntries + kUsedEntryBytes * queue_.size).store(position_.taken, std::memory_order_relaxed);
  } else {
    word(used_ + kFlags).store(0, std::memory_order_relaxed);
  }
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return word(available_ + kIndex).load(std::memory_order_acquire) != position_.taken;
}

void SplitQueue::serve_again() const {
  ::eventfd_write(queue_.kick->get(), 1);
}

}  // namespace vmm::virtio
