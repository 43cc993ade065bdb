// Frames by their names, without translations: what a debugger uses.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "tests/support/sim_mmu.h"
#include "uvm/unserved.h"

namespace test {

using uvm::Frame;
using uvm::kPageSize;
using uvm::MutexLock;

std::byte* SimMmu::frame_bytes(Frame frame, std::uint64_t offset, std::size_t count) {
  EXPECT_LE(offset + count, kPageSize) << "more than a page";
  if (frame.store == arena_ && arena_ != nullptr) {
    EXPECT_TRUE(arena_->is_live(frame.index));
  }
  if (frame.store == &window_) {
    const MutexLock lock(lock_);
    EXPECT_EQ(private_.count(frame.index), 1U) << "window page " << frame.index << " is not private";
  }
  return bytes_of(frame).data() + offset;
}

uvm::Status SimMmu::read_frame(Frame frame, std::uint64_t offset, std::span<std::byte> to) {
  std::byte* from = frame_bytes(frame, offset, to.size());
  for (std::byte& byte : to) byte = std::atomic_ref(*from++).load(std::memory_order_relaxed);
  return uvm::ok();
}

uvm::Status SimMmu::write_frame(Frame frame, std::uint64_t offset, std::span<const std::byte> from) {
  const auto* store = static_cast<const SimStore*>(frame.store);
  if (!store->is_writable()) {
    return uvm::Error(uvm::ErrorKind::Protection, std::string(store->name()) + " is never written");
  }
  std::byte* to = frame_bytes(frame, offset, from.size());
  for (const std::byte byte : from) std::atomic_ref(*to++).store(byte, std::memory_order_relaxed);
  return uvm::ok();
}

bool SimMmu::discard_equal(uvm::Gpa page, std::span<const std::byte> bytes) {
  const auto range = uvm::GpaRange::page_of(page);
  {
    const MutexLock lock(lock_);
    if (private_.count(page.page()) == 0) return false;
    erase(range);
  }
  flush(page.page());
  const auto held = window_.page(page.page());
  if (!std::equal(held.begin(), held.end(), bytes.begin(), bytes.end())) return false;
  discard(range);
  return true;
}

uvm::GpaRange SimMmu::unserved(uvm::Gpa page, uvm::GpaRange run, uvm::Protection rights) const {
  const MutexLock lock(lock_);
  // Clang does not carry the held lock into the closure.
  return uvm::unserved_around(page, run, [&](uvm::Gpa probed) NO_THREAD_SAFETY_ANALYSIS {
    const auto found = at(probed.page());
    return found != segments_.end() && includes(found->second.rights, rights);
  });
}

}  // namespace test
