// What the operator says about memory that the guest gives back.
#pragma once

#include <cstdint>

namespace vmm::virtio::balloon {

/// Whether the guest takes pages back by itself before it kills a process.
enum class OutOfMemory : std::uint8_t { Kill, Deflate };

/// Whether the guest tells which pages are free, which then cost nothing.
enum class FreePages : std::uint8_t { Kept, Reported };

struct Options {
  std::uint64_t bytes = 0;  // that the guest is to give back at first
  OutOfMemory out_of_memory = OutOfMemory::Kill;
  FreePages free_pages = FreePages::Kept;
  std::uint32_t statistics_seconds = 0;  // between two of the guest's reports; 0: none are asked for

  friend bool operator==(const Options&, const Options&) = default;
};

}  // namespace vmm::virtio::balloon
