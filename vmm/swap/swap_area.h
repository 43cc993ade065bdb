// Where the pages of a swap file are on its disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "uvm/base/error.h"

namespace vmm {

class SwapDisk;

/// Slots number pages. Thread-safe; every slot in use has one user at a time.
class SwapArea {
 public:
  SwapArea() = default;
  SwapArea(const SwapArea&) = delete;
  SwapArea& operator=(const SwapArea&) = delete;
  virtual ~SwapArea() = default;

  /// Stores whole pages in slots that follow each other; the first of them. All or nothing. Errors: NoMemory
  /// (the area is full, or has no room for so many pages in a row: fewer may fit), PagerIo.
  [[nodiscard]] virtual uvm::Result<std::uint64_t> write(std::span<const std::byte> pages) = 0;
  /// Errors: Invalid (a slot that is not in use), PagerIo.
  [[nodiscard]] virtual uvm::Status read(std::uint64_t first, std::span<std::byte> pages) = 0;
  virtual void free(std::uint64_t first, std::uint64_t count) = 0;

  /// Where on the disk a slot's page is, or the cluster it is in: for messages.
  [[nodiscard]] virtual std::uint64_t place_of(std::uint64_t slot) const = 0;
  /// Bytes taken on the disk.
  [[nodiscard]] virtual std::uint64_t used() const = 0;
  /// Host memory spent, bytes.
  [[nodiscard]] virtual std::uint64_t metadata_bytes() const = 0;
};

/// A slot is a place on the disk. Does not own `disk`, nor does the other.
[[nodiscard]] std::unique_ptr<SwapArea> plain_area(SwapDisk& disk);
/// Pages that are written together are compressed together (vmm/swap/packed_area.cc).
[[nodiscard]] std::unique_ptr<SwapArea> packed_area(SwapDisk& disk);

/// What both say when nothing fits.
[[nodiscard]] uvm::Error swap_is_full(const SwapDisk& disk, std::uint64_t used, std::uint64_t wanted);

}  // namespace vmm
