// What a disk has done so far, for whoever wants to know.
#pragma once

#include <atomic>
#include <cstdint>

namespace vmm::virtio::blk {

/// Requests are counted when they are answered. Written by the device's thread alone; any thread reads.
struct Counters {
  std::atomic<std::uint64_t> reads = 0;
  std::atomic<std::uint64_t> writes = 0;
  std::atomic<std::uint64_t> read_bytes = 0;
  std::atomic<std::uint64_t> written_bytes = 0;
  std::atomic<std::uint64_t> flushes = 0;
  std::atomic<std::uint64_t> discards = 0;  // write-zeroes among them
  std::atomic<std::uint64_t> errors = 0;    // requests answered with another status than OK
};

}  // namespace vmm::virtio::blk
