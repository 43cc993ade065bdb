// Where a page's bytes live, as far as the VM system needs to know: a name, never a pointer.
#pragma once

#include <compare>
#include <cstdint>
#include <string_view>

namespace uvm {

class Swap;

/// Somebody who holds frames: a RAM object's backing, a file, the private pages of one space, an arena. uvm
/// only compares stores by address and prints their name; a pmap knows its own kinds.
class FrameStore {
 public:
  FrameStore() = default;
  FrameStore(const FrameStore&) = delete;
  FrameStore& operator=(const FrameStore&) = delete;
  virtual ~FrameStore() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// The swap area that the frames are slots of; null: the bytes are in memory.
  [[nodiscard]] virtual Swap* as_swap() { return nullptr; }
};

/// One page's worth of bytes: page number `index` of `store`. The store outlives every Frame that names it.
struct Frame {
  FrameStore* store = nullptr;
  std::uint64_t index = 0;  // pages

  [[nodiscard]] constexpr Frame operator+(std::uint64_t pages) const { return {store, index + pages}; }
  friend constexpr auto operator<=>(const Frame&, const Frame&) = default;
};

/// `count` consecutive frames.
struct FrameRun {
  Frame first;
  std::uint64_t count = 0;  // pages

  friend constexpr auto operator<=>(const FrameRun&, const FrameRun&) = default;
};

}  // namespace uvm
