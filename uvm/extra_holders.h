// How many hold a page besides the first, for the few pages of a store that have more than one holder.
//
// Nearly every private page has one holder, the slot it is in, or several that share one chunk of slots and
// are counted there (amap.h). A count in each page, or in a structure a page, would be most of what a page
// costs; so only what is held more often is counted, in a tree by frame number that begins empty.
#pragma once

#include <atomic>
#include <cstdint>

namespace uvm {

/// Thread-safe, without a lock. 12 KiB for the first frame that is counted, from there on 4 bytes a frame in
/// leaves of 512, which stay until the end.
class ExtraHolders {
 public:
  ExtraHolders() = default;
  ~ExtraHolders();
  ExtraHolders(const ExtraHolders&) = delete;
  ExtraHolders& operator=(const ExtraHolders&) = delete;

  /// One holder more than before, by somebody who is one. Throws std::bad_alloc: no memory, a frame number of
  /// 2^36 or more, or 2^32 holders; nothing has changed.
  void add(std::uint64_t frame);
  /// One less. False: the caller was the only one left, and the frame is his to free.
  [[nodiscard]] bool remove(std::uint64_t frame);
  /// Whether there is another holder than the caller. False is final while nobody can copy the caller's hold.
  [[nodiscard]] bool any(std::uint64_t frame) const;
  /// How many there are besides the caller.
  [[nodiscard]] std::uint64_t count(std::uint64_t frame) const;
  /// Host memory, bytes.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  using Count = std::atomic<std::uint32_t>;
  struct Node;
  struct Leaf;

  [[nodiscard]] Count* find(std::uint64_t frame) const;
  [[nodiscard]] Count& make(std::uint64_t frame);
  template <class Made>
  Made* child(std::atomic<void*>& link);
  static void end(void* node, int level);

  std::atomic<void*> root_{nullptr};
  std::atomic<std::uint64_t> bytes_{0};
};

}  // namespace uvm
