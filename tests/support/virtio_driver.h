// The driver's side of one split ring, for tests of devices: it writes guest memory and two eventfds.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "uvm/access.h"
#include "vmm/virtio/device.h"

namespace test {

/// A ring of `size` entries that takes the pages from `gpa` on: descriptors in the first page, what is
/// available in the second, what is used in the third.
class VirtioDriver {
 public:
  static constexpr std::uint64_t kBytes = 3 * std::uint64_t{4096};
  static constexpr std::uint16_t kNext = 1;
  static constexpr std::uint16_t kWrite = 2;
  static constexpr std::uint16_t kIndirect = 4;

  struct Part {
    std::uint64_t gpa = 0;
    std::uint32_t bytes = 0;
    enum class For : std::uint8_t { Reading, Writing } what = For::Reading;  // by the device
  };
  struct Used {
    std::uint32_t head = 0;
    std::uint32_t written = 0;
    friend bool operator==(const Used&, const Used&) = default;
  };

  VirtioDriver(uvm::Space& space, std::uint64_t gpa, std::uint16_t size = 16, unsigned index = 0)
      : space_(space), gpa_(gpa) {
    queue_.index = index;
    queue_.size = size;
    queue_.descriptors = gpa;
    queue_.driver_area = gpa + 4096;
    queue_.device_area = gpa + 2 * 4096;
    queue_.kick = &kick_;
    queue_.call = &call_;
  }

  /// For an Activation, or a SplitQueue. Refers to this.
  [[nodiscard]] const vmm::virtio::Queue& queue() const { return queue_; }

  /// Writes a descriptor as it is told, right or wrong.
  void put_descriptor(std::uint16_t index, std::uint64_t gpa, std::uint32_t bytes, std::uint16_t flags,
                      std::uint16_t next = 0) {
    put_descriptor_at(gpa_ + 16 * std::uint64_t{index}, gpa, bytes, flags, next);
  }
  void put_descriptor_at(std::uint64_t at, std::uint64_t gpa, std::uint32_t bytes, std::uint16_t flags,
                         std::uint16_t next) {
    put(at, gpa);
    put(at + 8, bytes);
    put(at + 12, flags);
    put(at + 14, next);
  }
  /// Makes a chain, beginning at the next descriptors, available; its head. No notification.
  std::uint16_t offer(std::span<const Part> parts) {
    const std::uint16_t head = next_;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto at = static_cast<std::uint16_t>((next_ + i) % queue_.size);
      const bool last = i + 1 == parts.size();
      const auto flags =
          static_cast<std::uint16_t>((parts[i].what == Part::For::Writing ? kWrite : 0) | (last ? 0 : kNext));
      put_descriptor(at, parts[i].gpa, parts[i].bytes, flags,
                     static_cast<std::uint16_t>((at + 1) % queue_.size));
    }
    next_ = static_cast<std::uint16_t>((next_ + parts.size()) % queue_.size);
    offer_head(head);
    return head;
  }
  std::uint16_t offer(std::initializer_list<Part> parts) {
    return offer(std::span<const Part>(parts.begin(), parts.size()));
  }
  /// Makes what begins at that descriptor available.
  void offer_head(std::uint16_t head) {
    put(queue_.driver_area + 4 + 2 * std::uint64_t{static_cast<std::uint16_t>(offered_ % queue_.size)}, head);
    set_offered(static_cast<std::uint16_t>(offered_ + 1));
  }
  /// The index of what is available, right or wrong.
  void set_offered(std::uint16_t index) {
    offered_ = index;
    put(queue_.driver_area + 2, index);
  }
  void notify() const { ::eventfd_write(kick_.get(), 1); }
  void set_no_interrupts(bool none) { put<std::uint16_t>(queue_.driver_area, none ? 1 : 0); }
  void set_used_event(std::uint16_t index) {
    put(queue_.driver_area + 4 + 2 * std::uint64_t{queue_.size}, index);
  }

  /// The next chain that was given back.
  std::optional<Used> used() {
    if (get<std::uint16_t>(queue_.device_area + 2) == seen_) return std::nullopt;
    const std::uint64_t at =
        queue_.device_area + 4 + 8 * std::uint64_t{static_cast<std::uint16_t>(seen_ % queue_.size)};
    ++seen_;
    return Used{get<std::uint32_t>(at), get<std::uint32_t>(at + 4)};
  }
  /// The same, waiting for it; nothing after ten seconds.
  std::optional<Used> wait_used() {
    for (int i = 0; i < 10'000; ++i) {
      if (auto next = used()) return next;
      ::poll(nullptr, 0, 1);
    }
    return std::nullopt;
  }
  [[nodiscard]] bool wants_no_notifications() { return get<std::uint16_t>(queue_.device_area) == 1; }
  [[nodiscard]] std::uint16_t available_event() {
    return get<std::uint16_t>(queue_.device_area + 4 + 8 * std::uint64_t{queue_.size});
  }
  /// Interrupts since the last look.
  std::uint64_t interrupts() const {
    eventfd_t count = 0;
    return ::eventfd_read(call_.get(), &count) == 0 ? count : 0;
  }

  template <class T>
  void put(std::uint64_t gpa, T value) {
    EXPECT_TRUE(uvm::Access::write_value(space_, uvm::Gpa(gpa), value));
  }
  template <class T>
  T get(std::uint64_t gpa) {
    return uvm::Access::read_value<T>(space_, uvm::Gpa(gpa)).value();
  }
  void put_bytes(std::uint64_t gpa, std::string_view bytes) {
    EXPECT_TRUE(uvm::Access::write(space_, uvm::Gpa(gpa), std::as_bytes(std::span(bytes))));
  }
  std::string get_bytes(std::uint64_t gpa, std::size_t count) {
    std::string bytes(count, '\0');
    EXPECT_TRUE(uvm::Access::read(space_, uvm::Gpa(gpa), std::as_writable_bytes(std::span(bytes))));
    return bytes;
  }

 private:
  uvm::Space& space_;
  const std::uint64_t gpa_;
  vmm::Fd kick_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  vmm::Fd call_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  vmm::virtio::Queue queue_;
  std::uint16_t next_ = 0;     // descriptor
  std::uint16_t offered_ = 0;  // chains
  std::uint16_t seen_ = 0;     // of those used
};

}  // namespace test
