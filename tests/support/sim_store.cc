#include "tests/support/sim_store.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "uvm/base/units.h"

namespace test {

SimStore::SimStore(std::string name, std::uint64_t pages) : name_(std::move(name)), pages_(pages) {
  void* at = ::mmap(nullptr, pages_ * uvm::kPageSize, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) std::abort();
  base_ = static_cast<std::byte*>(at);
}

SimStore::~SimStore() {
  ::munmap(base_, pages_ * uvm::kPageSize);
}

std::span<std::byte> SimStore::page(std::uint64_t index) const {
  if (index >= pages_) std::abort();
  return {base_ + index * uvm::kPageSize, uvm::kPageSize};
}

SimArena::~SimArena() {
  EXPECT_EQ(live(), 0U) << "frames of the arena that were never released";
}

std::uint64_t SimArena::allocate() {
  const uvm::MutexLock lock(lock_);
  if (live_.size() == pages()) return pages();
  while (live_.count(next_ % pages()) != 0) ++next_;
  const std::uint64_t index = next_++ % pages();
  live_.insert(index);
  return index;
}

void SimArena::free(std::uint64_t index) {
  const uvm::MutexLock lock(lock_);
  EXPECT_EQ(live_.erase(index), 1U) << "arena frame " << index << " freed twice";
  const auto bytes = page(index);
  std::fill(bytes.begin(), bytes.end(), std::byte{0xdd});
}

std::size_t SimArena::live() const {
  const uvm::MutexLock lock(lock_);
  return live_.size();
}

bool SimArena::is_live(std::uint64_t index) const {
  const uvm::MutexLock lock(lock_);
  return live_.count(index) != 0;
}

std::span<std::byte> bytes_of(uvm::Frame frame) {
  return static_cast<SimStore*>(frame.store)->page(frame.index);
}

}  // namespace test
