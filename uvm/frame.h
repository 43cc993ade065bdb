// Where a page's bytes live, as far as the VM system needs to know: a name, never a pointer.
#pragma once

#include <compare>
#include <cstdint>
#include <string_view>

#include "uvm/extra_holders.h"

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
  [[nodiscard]] Swap* as_swap() const { return swap_; }
  /// For anons.
  [[nodiscard]] ExtraHolders& extra_holders() { return extra_holders_; }

 protected:
  /// Of the swap area `self`.
  explicit FrameStore(Swap* self) : swap_(self) {}

 private:
  Swap* const swap_ = nullptr;
  ExtraHolders extra_holders_;
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
