// Frames as 40-bit numbers, so that a table entry can hold one.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/frame.h"

namespace ept {

/// A frame of the space's own window is bit 39 plus its index (a GPA page number). Any other is an 11-bit
/// number for its store, given out at first use, and 28 bits of index. So 2047 stores of 1 TiB each; indices
/// stay in the low bits, which keeps large leaves possible.
class FrameCodec {
 public:
  explicit FrameCodec(uvm::FrameStore* own) : own_(own) {}

  static constexpr std::uint64_t kStores = 2047;
  static constexpr std::uint64_t kIndexLimit = std::uint64_t{1} << 28;  // pages
  static constexpr std::uint64_t kOwnBit = std::uint64_t{1} << 39;

  /// The number of `first`, such that number + n is first + n for all n below `pages`. Errors: Unsupported (a
  /// frame past the first TiB of its store), NoMemory (2047 stores are in use; collect() can help).
  [[nodiscard]] uvm::Result<std::uint64_t> encode(uvm::Frame first, std::uint64_t pages);
  [[nodiscard]] uvm::Frame decode(std::uint64_t number) const;
  /// Keeps only the stores that `in_use` (by store number) names.
  void collect(const std::vector<bool>& in_use);
  /// Store number of a foreign frame; nullopt of one of the window's own.
  [[nodiscard]] static std::optional<std::uint64_t> store_of(std::uint64_t number);

  [[nodiscard]] std::uint64_t bytes() const;

 private:
  uvm::FrameStore* own_;
  std::vector<uvm::FrameStore*> stores_;  // by number; null: free
  std::vector<std::uint64_t> free_;
  std::unordered_map<const uvm::FrameStore*, std::uint64_t> numbers_;
};

}  // namespace ept
