#include "tests/support/fake_swap.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "uvm/base/units.h"

namespace test {

using uvm::kPageSize;
using uvm::MutexLock;

FakeSwap::~FakeSwap() {
  EXPECT_EQ(used(), 0U) << "slots of swap that were never freed";
}

uvm::Result<uvm::SwapSlot> FakeSwap::write(std::span<const std::byte> pages) {
  if (hook_) hook_();
  const std::uint64_t count = pages.size() / kPageSize;
  EXPECT_EQ(pages.size() % kPageSize, 0U);
  EXPECT_NE(count, 0U);
  if (fail_writes_) return uvm::Error(uvm::ErrorKind::PagerIo, "injected: swap write");
  const MutexLock lock(lock_);
  if (count > longest_ || pages_.size() + count > slots_) {
    return uvm::Error(uvm::ErrorKind::NoMemory, "swap is full");
  }
  ++writes_;
  // Slots are not used again, so that one which is read too late is missed.
  const uvm::SwapSlot first{next_};
  next_ += count;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto page = pages.subspan(i * kPageSize, kPageSize);
    pages_.emplace(first.number + i, std::vector<std::byte>(page.begin(), page.end()));
  }
  return first;
}

uvm::Status FakeSwap::read(uvm::SwapSlot first, std::span<std::byte> to) {
  if (hook_) hook_();
  if (fail_reads_) return uvm::Error(uvm::ErrorKind::PagerIo, "injected: swap read");
  const MutexLock lock(lock_);
  ++reads_;
  for (std::uint64_t i = 0; i < to.size() / kPageSize; ++i) {
    const auto page = pages_.find(first.number + i);
    if (page == pages_.end()) {
      ADD_FAILURE() << "slot " << first.number + i << " was read and holds nothing";
      return uvm::Error(uvm::ErrorKind::PagerIo, "no such slot");
    }
    std::copy(page->second.begin(), page->second.end(),
              to.begin() + static_cast<std::ptrdiff_t>(i * kPageSize));
  }
  return uvm::ok();
}

void FakeSwap::free(uvm::SwapSlot first, std::uint64_t pages) {
  const MutexLock lock(lock_);
  for (std::uint64_t i = 0; i < pages; ++i) {
    EXPECT_EQ(pages_.erase(first.number + i), 1U) << "slot " << first.number + i << " freed, and not in use";
  }
}

uvm::SwapUsage FakeSwap::usage() const {
  const MutexLock lock(lock_);
  return {slots_, pages_.size()};
}

}  // namespace test
