// Slots of an amap that wait for the end of an input or output.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "uvm/amap.h"

namespace uvm {

/// Busy from add() to the end of this object, which takes the amap's lock and so ends without it.
class BusySlots {
 public:
  BusySlots() = default;
  explicit BusySlots(std::shared_ptr<Amap> amap) : amap_(std::move(amap)) {}
  BusySlots(BusySlots&& other) noexcept = default;
  BusySlots& operator=(BusySlots&& other) noexcept {
    std::swap(amap_, other.amap_);
    std::swap(slots_, other.slots_);
    return *this;
  }
  BusySlots(const BusySlots&) = delete;
  BusySlots& operator=(const BusySlots&) = delete;
  ~BusySlots() {
    for (const std::uint64_t slot : slots_) amap_->clear_busy(slot);
  }
  /// All but one are free from here on. Without the amap's lock.
  void keep_only(std::uint64_t kept) {
    for (const std::uint64_t slot : slots_) {
      if (slot != kept) amap_->clear_busy(slot);
    }
    slots_.assign(1, kept);
  }

  /// With the amap locked.
  void add(std::uint64_t slot) NO_THREAD_SAFETY_ANALYSIS {
    slots_.push_back(slot);
    try {
      amap_->set_busy(slot);
    } catch (const std::bad_alloc&) {
      slots_.pop_back();
      throw;
    }
  }
  [[nodiscard]] const std::shared_ptr<Amap>& amap() const { return amap_; }

 private:
  std::shared_ptr<Amap> amap_;
  std::vector<std::uint64_t> slots_;
};

}  // namespace uvm
