// Bytes for who is no vCPU: through the translations, and by the names of frames without them.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "tests/support/sim_mmu.h"
#include "uvm/unserved.h"

namespace test {

using uvm::AccessKind;
using uvm::Frame;
using uvm::kPageSize;
using uvm::MutexLock;

namespace {

// vCPUs may use the same bytes.
void load_bytes(std::byte* from, std::span<std::byte> to) {
  for (std::byte& byte : to) byte = std::atomic_ref(*from++).load(std::memory_order_relaxed);
}

void store_bytes(std::byte* to, std::span<const std::byte> from) {
  for (const std::byte byte : from) std::atomic_ref(*to++).store(byte, std::memory_order_relaxed);
}

}  // namespace

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
  load_bytes(frame_bytes(frame, offset, to.size()), to);
  return uvm::ok();
}

uvm::Status SimMmu::write_frame(Frame frame, std::uint64_t offset, std::span<const std::byte> from) {
  const auto* store = static_cast<const SimStore*>(frame.store);
  if (!store->is_writable()) {
    return uvm::Error(uvm::ErrorKind::Protection, std::string(store->name()) + " is never written");
  }
  store_bytes(frame_bytes(frame, offset, from.size()), from);
  return uvm::ok();
}

template <class F>
uvm::Status SimMmu::copy_through(uvm::GpaRange range, AccessKind access, F&& copy) {
  const std::uint64_t page = range.begin().page();
  while (true) {
    {
      const MutexLock lock(copying_);
      const Walk found = walk(page, access);
      if (found.outcome == Outcome::Found) {
        copy(found.bytes + range.begin().offset_in_page());
        return uvm::ok();
      }
      if (found.outcome == Outcome::Event) return uvm::Error(uvm::ErrorKind::Busy, "no translation any more");
    }
    host_work(page);
  }
}

uvm::Status SimMmu::copy_out(uvm::GpaRange from, std::span<std::byte> to) {
  return copy_through(from, AccessKind::Read, [&](std::byte* bytes) { load_bytes(bytes, to); });
}

uvm::Status SimMmu::copy_in(uvm::GpaRange to, std::span<const std::byte> from) {
  return copy_through(to, AccessKind::Write, [&](std::byte* bytes) { store_bytes(bytes, from); });
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
