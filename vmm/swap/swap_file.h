// uvm's swap on a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "uvm/swap.h"
#include "vmm/swap/page_sums.h"
#include "vmm/swap/swap_area.h"
#include "vmm/swap/swap_disk.h"

namespace vmm {

enum class SwapCompression : std::uint8_t { Off, Zstd };

struct SwapSettings {
  SwapDisk::Options disk;
  SwapCompression compression = SwapCompression::Off;
};

/// See vmm/swap/swap.h. Thread-safe.
class SwapFile final : public uvm::Swap {
 public:
  /// Errors: as SwapDisk::open().
  [[nodiscard]] static uvm::Result<std::unique_ptr<SwapFile>> create(const SwapSettings& settings);

  [[nodiscard]] uvm::Result<uvm::SwapSlot> write(std::span<const std::byte> pages) override;
  [[nodiscard]] uvm::Status read(uvm::SwapSlot first, std::span<std::byte> pages) override;
  void free(uvm::SwapSlot first, std::uint64_t pages) override;
  /// In pages of the disk: a compressed page takes less than one.
  [[nodiscard]] uvm::SwapUsage usage() const override;
  [[nodiscard]] std::string_view name() const override { return disk_->name(); }

  [[nodiscard]] const SwapDisk& disk() const { return *disk_; }
  /// Bytes taken on the disk; host memory spent on knowing what is where.
  [[nodiscard]] std::uint64_t used() const { return area_->used(); }
  [[nodiscard]] std::uint64_t metadata_bytes() const;

 private:
  SwapFile(std::unique_ptr<SwapDisk> disk, std::unique_ptr<SwapArea> area);
  [[nodiscard]] uvm::Status verify(std::uint64_t first, std::span<const std::byte> pages) const;

  const std::unique_ptr<SwapDisk> disk_;
  const std::unique_ptr<SwapArea> area_;
  mutable uvm::Mutex mutex_{uvm::LockRank::Leaf};
  PageSums sums_ GUARDED_BY(mutex_);
};

}  // namespace vmm
