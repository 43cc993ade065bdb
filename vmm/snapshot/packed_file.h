// A snapshot's memory compressed: a line that says so, and a zstd frame for each chunk, one behind the other,
// none for chunks of zeros.
//
// Such a file cannot be mapped. Who restores it takes all of it apart into memory of its own, on several
// threads, before the guest runs; machines that are restored from it share nothing with each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/kvm/fd.h"
#include "vmm/snapshot/memory_image.h"

namespace vmm::snapshot {

/// Where the frames are: their sizes in bytes, in the order of the chunks; 0: the chunk is all zeros.
using FrameSizes = std::vector<std::uint32_t>;

/// Of the file, bytes.
[[nodiscard]] std::uint64_t packed_bytes(const FrameSizes& sizes);

/// Chunks on their way into the file; packed some at a time, on several threads. Not thread-safe.
class PackedWriter {
 public:
  /// `fd` and `path` outlive it.
  PackedWriter(const Fd& fd, const std::string& path);

  /// The next chunk, of whole pages; empty: one of zeros. Errors: System (of this one or of one before),
  /// NoMemory.
  [[nodiscard]] uvm::Status add(std::span<const std::byte> chunk);
  /// Behind the last one.
  [[nodiscard]] uvm::Result<FrameSizes> finish() &&;

 private:
  [[nodiscard]] uvm::Status flush();

  const Fd& fd_;
  const std::string& path_;
  std::vector<std::vector<std::byte>> waiting_;
  std::uint64_t at_;  // where the next frame goes, bytes
  FrameSizes sizes_;
};

/// What a packed file says of itself.
struct PackedMemory {
  std::uint64_t bytes = 0;                 // of the memory
  std::uint64_t chunk = 0;                 // bytes of each chunk but the last
  const FrameSizes& frames;                // of each chunk
  const std::vector<std::uint64_t>& sums;  // of each chunk, as chunk_sum() makes them
};

/// 0 for zeros and for nothing else.
[[nodiscard]] std::uint64_t chunk_sum(std::span<const std::byte> chunk);

/// The memory, in an object that is frozen. Errors: Invalid (damaged; the frame's place is named), NoMemory,
/// System.
[[nodiscard]] uvm::Result<MemoryObject> unpack(int fd, const std::string& path, const PackedMemory& memory);

}  // namespace vmm::snapshot
