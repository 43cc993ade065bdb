// A bounded FIFO of bytes; its memory is fixed at construction.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "vmm/devices/state.h"

namespace vmm::devices {

/// Not thread-safe: whoever owns it locks.
class ByteQueue {
 public:
  explicit ByteQueue(std::size_t capacity) : bytes_(capacity) {}

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t capacity() const { return bytes_.size(); }
  [[nodiscard]] std::size_t space() const { return bytes_.size() - size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] bool full() const { return size_ == bytes_.size(); }

  /// Takes a prefix, returns its length.
  std::size_t push(std::span<const std::byte> bytes);
  bool push(std::byte byte) { return push(std::span(&byte, 1)) == 1; }
  /// The oldest bytes as far as they lie in one piece; empty only when the queue is.
  [[nodiscard]] std::span<const std::byte> front() const;
  /// Drops the `count` oldest bytes (all, if there are fewer).
  void pop(std::size_t count);
  void clear();
  /// What is in it; as much as fits.
  void state(StateFields& fields);

 private:
  std::vector<std::byte> bytes_;
  std::size_t head_ = 0;
  std::size_t size_ = 0;
};

}  // namespace vmm::devices
