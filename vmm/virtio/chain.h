// A request as the driver has laid it out: parts of guest memory, first those to be read, then those to be
// written (virtio 1.2, 2.7.4).
#pragma once

#include <cstdint>
#include <vector>

namespace vmm::virtio {

/// [gpa, gpa + bytes): not empty, wholly in RAM, of any alignment.
struct Segment {
  std::uint64_t gpa = 0;
  std::uint32_t bytes = 0;

  friend bool operator==(const Segment&, const Segment&) = default;
};

struct Chain {
  std::uint16_t head = 0;         // what SplitQueue::push() takes back
  std::vector<Segment> readable;  // by the device
  std::vector<Segment> writable;

  [[nodiscard]] std::uint64_t readable_bytes() const { return bytes_of(readable); }
  [[nodiscard]] std::uint64_t writable_bytes() const { return bytes_of(writable); }

 private:
  [[nodiscard]] static std::uint64_t bytes_of(const std::vector<Segment>& segments) {
    std::uint64_t sum = 0;
    for (const Segment& segment : segments) sum += segment.bytes;
    return sum;
  }
};

}  // namespace vmm::virtio
