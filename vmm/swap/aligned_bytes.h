// Memory as direct I/O wants it.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>

namespace vmm {

/// Bytes that begin at a multiple of 4096. Empty when the host has no memory.
class AlignedBytes {
 public:
  static constexpr std::size_t kAlignment = 4096;

  explicit AlignedBytes(std::size_t size)
      : memory_(static_cast<std::byte*>(
            std::aligned_alloc(kAlignment, (size + kAlignment - 1) / kAlignment * kAlignment))),
        size_(memory_ ? size : 0) {}

  [[nodiscard]] std::span<std::byte> bytes() { return {memory_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t size_;
};

}  // namespace vmm
