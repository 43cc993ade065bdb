// The driver's side of a disk: requests over a ring, one after the other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/virtio_driver.h"
#include "vmm/virtio/blk/request.h"

namespace test {

/// Puts headers and status bytes into the page at `scratch`.
class DiskDriver {
 public:
  using Type = vmm::virtio::blk::RequestType;
  using Part = VirtioDriver::Part;
  static constexpr int kNoAnswer = -1;
  static constexpr std::uint8_t kUntouched = 0xee;  // of a status byte

  DiskDriver(uvm::Space& space, std::uint64_t ring, std::uint64_t scratch, std::uint16_t size = 64,
             unsigned index = 0)
      : ring_(space, ring, size, index), scratch_(scratch) {}

  [[nodiscard]] VirtioDriver& ring() { return ring_; }

  /// Makes a request available, the `slot`th of those that are under way together (below 64); its head.
  std::uint16_t offer(Type type, std::uint64_t sector, const std::vector<Part>& data = {},
                      unsigned slot = 0) {
    const std::uint64_t header = scratch_ + 32 * std::uint64_t{slot};
    ring_.put(header, static_cast<std::uint32_t>(type));
    ring_.put(header + 4, std::uint32_t{0});
    ring_.put(header + 8, sector);
    ring_.put(header + 16, kUntouched);
    std::vector<Part> parts{{header, 16}};
    parts.insert(parts.end(), data.begin(), data.end());
    parts.push_back({header + 16, 1, Part::For::Writing});
    return ring_.offer(parts);
  }
  [[nodiscard]] int status(unsigned slot = 0) {
    return ring_.get<std::uint8_t>(scratch_ + 32 * std::uint64_t{slot} + 16);
  }
  /// Asks and waits; the status.
  int ask(Type type, std::uint64_t sector, const std::vector<Part>& data = {}) {
    offer(type, sector, data);
    ring_.notify();
    return ring_.wait_used() ? status() : kNoAnswer;
  }

  int read(std::uint64_t sector, std::uint64_t gpa, std::uint32_t bytes) {
    return ask(Type::In, sector, {{gpa, bytes, Part::For::Writing}});
  }
  int write(std::uint64_t sector, std::uint64_t gpa, std::uint32_t bytes) {
    return ask(Type::Out, sector, {{gpa, bytes}});
  }
  /// A discard or write-zeroes of one range, which is put at `gpa`.
  int ask_range(Type type, std::uint64_t gpa, std::uint64_t sector, std::uint32_t sectors,
                std::uint32_t flags = 0) {
    ring_.put(gpa, sector);
    ring_.put(gpa + 8, sectors);
    ring_.put(gpa + 12, flags);
    return ask(type, 0, {{gpa, 16}});
  }

 private:
  VirtioDriver ring_;
  std::uint64_t scratch_;
};

}  // namespace test
