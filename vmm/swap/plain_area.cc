#include <string>

#include "uvm/base/lock.h"
#include "uvm/base/units.h"
#include "vmm/swap/slot_map.h"
#include "vmm/swap/swap_area.h"
#include "vmm/swap/swap_disk.h"

namespace vmm {
namespace {

using uvm::kPageSize;

class PlainArea final : public SwapArea {
 public:
  explicit PlainArea(SwapDisk& disk) : disk_(disk), slots_(disk.bytes() / kPageSize) {}

  uvm::Result<std::uint64_t> write(std::span<const std::byte> pages) override {
    const std::uint64_t count = pages.size() / kPageSize;
    UVMM_TRY(const std::uint64_t first, take(count));
    if (auto status = disk_.write(first * kPageSize, pages); !status) {
      free(first, count);
      return std::move(status).error();
    }
    return first;
  }

  uvm::Status read(std::uint64_t first, std::span<std::byte> pages) override {
    {
      const uvm::MutexLock lock(mutex_);
      if (!slots_.taken(first, pages.size() / kPageSize)) {
        return uvm::Error(uvm::ErrorKind::Invalid,
                          disk_.name() + ": slot " + std::to_string(first) + " is not in use");
      }
    }
    return disk_.read(first * kPageSize, pages);
  }

  void free(std::uint64_t first, std::uint64_t count) override {
    const uvm::MutexLock lock(mutex_);
    slots_.free(first, count);
  }

  [[nodiscard]] std::uint64_t place_of(std::uint64_t slot) const override { return slot * kPageSize; }
  [[nodiscard]] std::uint64_t used() const override {
    const uvm::MutexLock lock(mutex_);
    return slots_.used() * kPageSize;
  }
  [[nodiscard]] std::uint64_t metadata_bytes() const override {
    const uvm::MutexLock lock(mutex_);
    return slots_.size() / 8;
  }

 private:
  uvm::Result<std::uint64_t> take(std::uint64_t count) {
    const uvm::MutexLock lock(mutex_);
    if (const auto first = slots_.take(count)) return *first;
    return swap_is_full(disk_, slots_.used(), count);
  }

  SwapDisk& disk_;
  mutable uvm::Mutex mutex_{uvm::LockRank::Leaf};
  SlotMap slots_ GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<SwapArea> plain_area(SwapDisk& disk) {
  return std::make_unique<PlainArea>(disk);
}

uvm::Error swap_is_full(const SwapDisk& disk, std::uint64_t used, std::uint64_t wanted) {
  return uvm::Error(uvm::ErrorKind::NoMemory,
                    disk.name() + " has no room for " + std::to_string(wanted) +
                        " pages more: " + std::to_string(used) + " of its " +
                        std::to_string(disk.bytes() / kPageSize) + " pages are in use",
                    "raise --swap-size");
}

}  // namespace vmm
