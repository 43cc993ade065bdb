// A driver of a virtio disk, as small as one can be: one queue, one request at a time, no interrupts.
#pragma once

#include <cstdint>

#include "guest/programs/builtin_info.h"

namespace rt {

inline constexpr std::uint64_t kSector = 512;
inline constexpr std::uint32_t kChunk = 64 << 10;  // bytes of one request at most

enum class Direction : std::uint32_t { Read = 0, Write = 1 };

/// There is one. What goes wrong ends the machine: 2 no virtio disk; 3 not enough RAM; 4 the device does not
/// agree; 5 it needs a reset; 6 a request failed.
class Disk {
 public:
  /// Where a driver finds a device, by GPA.
  struct Registers {
    std::uint64_t common = 0;
    std::uint64_t notify = 0;
    std::uint64_t device = 0;
  };

  /// The first one, started. Takes table pages from where the image ends, up to `end`.
  [[nodiscard]] static Disk find(std::uint64_t end);

  [[nodiscard]] std::uint64_t bytes() const;
  /// What is moved: kChunk bytes, the same for all.
  [[nodiscard]] static std::uint64_t* data();
  /// Moves `bytes` between data() and the disk.
  void move(Direction direction, std::uint64_t offset, std::uint32_t bytes);

 private:
  explicit Disk(const Registers& registers) : registers_(registers) {}
  void start();
  void check() const;
  [[nodiscard]] volatile std::uint8_t& status() const;
  [[nodiscard]] volatile std::uint16_t& common16(std::uint64_t offset) const;
  [[nodiscard]] volatile std::uint32_t& common32(std::uint64_t offset) const;
  void set_address(std::uint64_t offset, const void* place) const;

  Registers registers_;
  std::uint64_t notify_ = 0;
};

}  // namespace rt
