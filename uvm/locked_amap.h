// The amap of an entry, locked, or the absence of one, which is an empty amap that nobody had to make.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "uvm/amap.h"
#include "uvm/entry.h"

namespace uvm {

/// Holds the amap's lock while it lives. The lock exists only when the amap does, which the analysis cannot
/// follow; this class is where it is told to trust us.
class LockedAmap {
 public:
  explicit LockedAmap(const Entry& entry) NO_THREAD_SAFETY_ANALYSIS : amap_(entry.amap.get()) {
    if (amap_ != nullptr) amap_->lock().lock();
  }
  ~LockedAmap() NO_THREAD_SAFETY_ANALYSIS {
    if (amap_ != nullptr) amap_->lock().unlock();
  }
  LockedAmap(const LockedAmap&) = delete;
  LockedAmap& operator=(const LockedAmap&) = delete;

  [[nodiscard]] bool exists() const { return amap_ != nullptr; }
  /// Whether pages of the entry appear at other places too, in this space or others.
  [[nodiscard]] bool is_shared(const Entry& entry) const NO_THREAD_SAFETY_ANALYSIS {
    return amap_ != nullptr && amap_->uses().is_shared_in(entry.amap_window());
  }
  [[nodiscard]] bool is_shared_in(SlotRange slots) const NO_THREAD_SAFETY_ANALYSIS {
    return amap_ != nullptr &&
           amap_->uses().is_shared_in(*ObjectRange::from_bounds(ObjectOffset(slots.begin << kPageShift),
                                                                ObjectOffset(slots.end << kPageShift)));
  }
  [[nodiscard]] bool is_busy(std::uint64_t slot) const NO_THREAD_SAFETY_ANALYSIS {
    return amap_ != nullptr && amap_->is_busy(slot);
  }
  void set_busy(std::uint64_t slot) NO_THREAD_SAFETY_ANALYSIS { amap_->set_busy(slot); }
  /// Every place a slot is mapped at; a part of a range of them.
  void each_place(std::uint64_t slot,
                  const std::function<void(Pmap&, GpaRange)>& found) const NO_THREAD_SAFETY_ANALYSIS {
    amap_->uses().each_place(*ObjectRange::from_size(ObjectOffset(slot << kPageShift), kPageSize), found);
  }
  void each_place_of(SlotRange slots,
                     const std::function<void(Pmap&, GpaRange)>& found) const NO_THREAD_SAFETY_ANALYSIS {
    amap_->uses().each_place(*ObjectRange::from_bounds(ObjectOffset(slots.begin << kPageShift),
                                                       ObjectOffset(slots.end << kPageShift)),
                             found);
  }
  [[nodiscard]] std::optional<Anon> find(std::uint64_t slot) const NO_THREAD_SAFETY_ANALYSIS {
    return amap_ != nullptr ? amap_->find(slot) : std::nullopt;
  }
  [[nodiscard]] bool is_mine_alone(std::uint64_t slot) const NO_THREAD_SAFETY_ANALYSIS {
    return amap_ != nullptr && amap_->is_mine_alone(slot);
  }
  [[nodiscard]] std::uint64_t others(std::uint64_t slot) const NO_THREAD_SAFETY_ANALYSIS {
    return amap_ != nullptr ? amap_->others(slot) : 0;
  }
  [[nodiscard]] std::optional<std::uint64_t> first_used(SlotRange range) const NO_THREAD_SAFETY_ANALYSIS {
    return amap_ != nullptr ? amap_->first_used(range) : std::nullopt;
  }
  [[nodiscard]] std::optional<std::uint64_t> last_used(SlotRange range) const NO_THREAD_SAFETY_ANALYSIS {
    return amap_ != nullptr ? amap_->last_used(range) : std::nullopt;
  }
  void make_room(std::uint64_t slot, Pmap& pmap) NO_THREAD_SAFETY_ANALYSIS { amap_->make_room(slot, pmap); }
  void put(std::uint64_t slot, Anon anon, Pmap& pmap) NO_THREAD_SAFETY_ANALYSIS {
    amap_->put(slot, anon, pmap);
  }
  void drop(std::uint64_t slot, Pmap& pmap) NO_THREAD_SAFETY_ANALYSIS {
    if (amap_ != nullptr) amap_->drop(slot, pmap);
  }

 private:
  Amap* const amap_;
};

}  // namespace uvm
