#include "vmm/devices/byte_queue.h"

#include <algorithm>

namespace vmm::devices {

std::size_t ByteQueue::push(std::span<const std::byte> bytes) {
  const std::size_t count = std::min(bytes.size(), space());
  if (count == 0) return 0;
  const std::size_t tail = (head_ + size_) % bytes_.size();
  const std::size_t first = std::min(count, bytes_.size() - tail);
  std::ranges::copy(bytes.first(first), bytes_.begin() + static_cast<std::ptrdiff_t>(tail));
  std::ranges::copy(bytes.subspan(first, count - first), bytes_.begin());
  size_ += count;
  return count;
}

std::span<const std::byte> ByteQueue::front() const {
  return std::span(bytes_).subspan(head_, std::min(size_, bytes_.size() - head_));
}

void ByteQueue::pop(std::size_t count) {
  count = std::min(count, size_);
  if (count == 0) return;
  head_ = (head_ + count) % bytes_.size();
  size_ -= count;
}

void ByteQueue::clear() {
  head_ = 0;
  size_ = 0;
}

void ByteQueue::state(StateFields& fields) {
  std::vector<std::byte> waiting;
  for (std::size_t i = 0; i < size_; ++i) waiting.push_back(bytes_[(head_ + i) % bytes_.size()]);
  fields.blob(waiting, bytes_.size());
  if (!fields.restoring()) return;
  clear();
  push(waiting);
}

}  // namespace vmm::devices
