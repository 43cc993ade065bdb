// A swap area in memory that fails and pauses on demand.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string_view>
#include <vector>

#include "uvm/base/lock.h"
#include "uvm/swap.h"

namespace test {

/// Checks the contract: slots are freed once, read while they are written, and none is left at the end.
class FakeSwap : public uvm::Swap {
 public:
  explicit FakeSwap(std::uint64_t slots = 1U << 20) : slots_(slots) {}
  ~FakeSwap() override;

  [[nodiscard]] std::string_view name() const override { return "swap"; }
  [[nodiscard]] uvm::Result<uvm::SwapSlot> write(std::span<const std::byte> pages) override;
  [[nodiscard]] uvm::Status read(uvm::SwapSlot first, std::span<std::byte> to) override;
  void free(uvm::SwapSlot first, std::uint64_t pages) override;
  [[nodiscard]] uvm::SwapUsage usage() const override;

  /// From now on every write(), every read() fails with PagerIo, or does not.
  void fail_writes(bool fail) { fail_writes_ = fail; }
  void fail_reads(bool fail) { fail_reads_ = fail; }
  /// write() takes no more pages at once than that.
  void set_longest_run(std::uint64_t pages) { longest_ = pages; }
  /// Called in every write() and read(), before anything, without locks.
  void before_io(std::function<void()> hook) { hook_ = std::move(hook); }

  [[nodiscard]] std::uint64_t writes() const { return writes_; }
  [[nodiscard]] std::uint64_t reads() const { return reads_; }
  [[nodiscard]] std::uint64_t used() const { return usage().used; }

 private:
  const std::uint64_t slots_;
  std::atomic<bool> fail_writes_{false};
  std::atomic<bool> fail_reads_{false};
  std::atomic<std::uint64_t> longest_{~std::uint64_t{0}};
  std::atomic<std::uint64_t> writes_{0};
  std::atomic<std::uint64_t> reads_{0};
  std::function<void()> hook_;
  mutable uvm::Mutex lock_{uvm::LockRank::Leaf};
  std::map<std::uint64_t, std::vector<std::byte>> pages_ GUARDED_BY(lock_);  // by slot
  std::uint64_t next_ GUARDED_BY(lock_) = 0;
};

}  // namespace test
