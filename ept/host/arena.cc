#include "ept/host/arena.h"

#include <fcntl.h>
#include <linux/falloc.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <string>

#include "ept/host/memfd.h"

namespace ept::host {
namespace {

constexpr std::uint64_t kGrowth = 4096;  // pages: 16 MiB of address, nothing of memory
constexpr std::uint64_t kPagesPerWord = 64;
constexpr std::uint64_t kAllTaken = ~std::uint64_t{0};

}  // namespace

Arena::Arena(UniqueFd fd) : Backing(std::move(fd), BackingKind::Memory) {}

uvm::Result<std::unique_ptr<Arena>> Arena::create() {
  UVMM_TRY(auto file, make_memfd("uvmm-arena", 0));
  return std::unique_ptr<Arena>(new Arena(std::move(file)));
}

uvm::Result<Arena*> Arena::of_process() {
  static const auto arena = create();
  if (!arena) return arena.error();
  return arena->get();
}

uvm::Result<uvm::Frame> Arena::allocate() {
  uvm::MutexLock lock(mutex_);
  while (full_ < taken_.size() && taken_[full_] == kAllTaken) ++full_;
  if (full_ == taken_.size()) {
    const std::uint64_t grown = pages_ + kGrowth;
    taken_.resize(grown / kPagesPerWord);
    if (::ftruncate(fd(), static_cast<off_t>(grown * uvm::kPageSize)) != 0) {
      const int error = errno;
      taken_.resize(pages_ / kPagesPerWord);
      return uvm::Error::from_errno(error, "arena: growing to " + std::to_string(grown) + " pages");
    }
    pages_ = grown;
  }
  // The lowest, so that pages of one moment lie together: neighbours are one host mapping.
  const auto bit = static_cast<std::uint64_t>(std::countr_one(taken_[full_]));
  taken_[full_] |= std::uint64_t{1} << bit;
  ++used_;
  return uvm::Frame{this, full_ * kPagesPerWord + bit};
}

void Arena::free(uvm::Frame frame) {
  // Before the number is free again: the next owner must find zeros. A kernel without holes in tmpfs would
  // keep the memory, and write_page() and this write keep the promise.
  if (::fallocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  static_cast<off_t>(frame.index * uvm::kPageSize), uvm::kPageSize) != 0) {
    const std::vector<std::byte> zeros(uvm::kPageSize);
    if (!write_page(frame.index, zeros)) return;  // better lost than handed out with old bytes
  }
  uvm::MutexLock lock(mutex_);
  const std::size_t word = frame.index / kPagesPerWord;
  taken_[word] &= ~(std::uint64_t{1} << frame.index % kPagesPerWord);
  full_ = std::min(full_, word);
  --used_;
}

uvm::Status Arena::write_page(std::uint64_t index, std::span<const std::byte> page) const {
  return write(index, 0, page);
}

std::uint64_t Arena::used() const {
  uvm::MutexLock lock(mutex_);
  return used_;
}

uvm::Result<uvm::FrameRun> Arena::get(const uvm::PagerRequest& request) {
  return run_of(request, size());
}

std::uint64_t Arena::size() const {
  uvm::MutexLock lock(mutex_);
  return pages_ * uvm::kPageSize;
}

}  // namespace ept::host
