// Frames with real bytes for the simulated MMU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>

#include "uvm/base/lock.h"
#include "uvm/frame.h"

namespace test {

/// `pages` consecutive pages of address space; memory is only used for those that are touched.
class SimStore : public uvm::FrameStore {
 public:
  SimStore(std::string name, std::uint64_t pages);
  ~SimStore() override;

  [[nodiscard]] std::string_view name() const override { return name_; }
  [[nodiscard]] std::uint64_t pages() const { return pages_; }
  [[nodiscard]] std::span<std::byte> page(std::uint64_t index) const;
  [[nodiscard]] uvm::Frame frame(std::uint64_t index) { return {this, index}; }
  /// Whether a guest may write the pages through an Exact mapping. A test whose object is only ever mapped
  /// privately says no, and the MMU reports every write that gets there.
  void set_writable(bool writable) { writable_ = writable; }
  [[nodiscard]] bool is_writable() const { return writable_; }

 private:
  const std::string name_;
  const std::uint64_t pages_;
  std::byte* base_ = nullptr;
  bool writable_ = true;
};

/// Frames that every simulated MMU can use: what Placement::Shareable promises. Fails the test for a frame
/// that is freed twice or never.
class SimArena : public SimStore {
 public:
  explicit SimArena(std::uint64_t pages = 4096) : SimStore("arena", pages) {}
  ~SimArena() override;

  /// Past the last page: nothing left.
  [[nodiscard]] std::uint64_t allocate();
  void free(std::uint64_t index);
  [[nodiscard]] std::size_t live() const;
  [[nodiscard]] bool is_live(std::uint64_t index) const;

 private:
  mutable uvm::Mutex lock_{uvm::LockRank::Leaf};
  std::set<std::uint64_t> live_ GUARDED_BY(lock_);
  std::uint64_t next_ GUARDED_BY(lock_) = 0;
};

[[nodiscard]] std::span<std::byte> bytes_of(uvm::Frame frame);

}  // namespace test
