#include "ept/host/arena.h"

#include <fcntl.h>
#include <linux/falloc.h>

#include <cerrno>
#include <string>

#include "ept/host/memfd.h"

namespace ept::host {
namespace {

constexpr std::uint64_t kGrowth = 4096;  // pages: 16 MiB of address, nothing of memory

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
  if (free_.empty()) {
    const std::uint64_t grown = pages_ + kGrowth;
    if (::ftruncate(fd(), static_cast<off_t>(grown * uvm::kPageSize)) != 0) {
      return uvm::Error::from_errno(errno, "arena: growing to " + std::to_string(grown) + " pages");
    }
    free_.reserve(grown);
    for (std::uint64_t page = grown; page > pages_; --page) free_.push_back(page - 1);
    pages_ = grown;
  }
  const std::uint64_t index = free_.back();
  free_.pop_back();
  return uvm::Frame{this, index};
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
  free_.push_back(frame.index);
}

uvm::Status Arena::write_page(std::uint64_t index, std::span<const std::byte> page) const {
  return write(index, 0, page);
}

std::uint64_t Arena::used() const {
  uvm::MutexLock lock(mutex_);
  return pages_ - free_.size();
}

uvm::Result<uvm::FrameRun> Arena::get(const uvm::PagerRequest& request) {
  return run_of(request, size());
}

std::uint64_t Arena::size() const {
  uvm::MutexLock lock(mutex_);
  return pages_ * uvm::kPageSize;
}

}  // namespace ept::host
