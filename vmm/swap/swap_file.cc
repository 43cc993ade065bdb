#include "vmm/swap/swap_file.h"

#include <string>
#include <utility>
#include <vector>

#include "uvm/base/units.h"

namespace vmm {

using uvm::kPageSize;

uvm::Result<std::unique_ptr<SwapFile>> SwapFile::create(const SwapSettings& settings) {
  UVMM_TRY(auto disk, SwapDisk::open(settings.disk));
  auto area = settings.compression == SwapCompression::Zstd ? packed_area(*disk) : plain_area(*disk);
  return std::unique_ptr<SwapFile>(new SwapFile(std::move(disk), std::move(area)));
}

SwapFile::SwapFile(std::unique_ptr<SwapDisk> disk, std::unique_ptr<SwapArea> area)
    : disk_(std::move(disk)), area_(std::move(area)) {}

uvm::Result<uvm::SwapSlot> SwapFile::write(std::span<const std::byte> pages) {
  UVMM_TRY(const std::uint64_t first, area_->write(pages));
  std::vector<PageSums::Sum> sums;
  sums.reserve(pages.size() / kPageSize);
  for (std::size_t at = 0; at < pages.size(); at += kPageSize) {
    sums.push_back(PageSums::of(first + at / kPageSize, pages.subspan(at, kPageSize)));
  }
  const uvm::MutexLock lock(mutex_);
  for (std::size_t i = 0; i < sums.size(); ++i) sums_.set(first + i, sums[i]);
  return uvm::SwapSlot{first};
}

uvm::Status SwapFile::read(uvm::SwapSlot first, std::span<std::byte> pages) {
  UVMM_CHECK(area_->read(first.number, pages));
  return verify(first.number, pages);
}

uvm::Status SwapFile::verify(std::uint64_t first, std::span<const std::byte> pages) const {
  for (std::size_t at = 0; at < pages.size(); at += kPageSize) {
    const std::uint64_t slot = first + at / kPageSize;
    const auto found = PageSums::of(slot, pages.subspan(at, kPageSize));
    {
      const uvm::MutexLock lock(mutex_);
      if (found == sums_.at(slot)) continue;
    }
    return uvm::Error(uvm::ErrorKind::PagerIo,
                      disk_->name() + ": the page at offset " +
                          std::to_string(SwapDisk::kHeaderBytes + area_->place_of(slot)) +
                          " is not what was written there",
                      "look at the disk; the guest's page is lost");
  }
  return uvm::ok();
}

void SwapFile::free(uvm::SwapSlot first, std::uint64_t pages) {
  area_->free(first.number, pages);
}

uvm::SwapUsage SwapFile::usage() const {
  return {disk_->bytes() / kPageSize, area_->used() / kPageSize};
}

std::uint64_t SwapFile::metadata_bytes() const {
  const uvm::MutexLock lock(mutex_);
  return area_->metadata_bytes() + sums_.bytes();
}

}  // namespace vmm
