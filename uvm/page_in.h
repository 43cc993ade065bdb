// A page, and its neighbours, on the way back from swap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "uvm/busy_slots.h"
#include "uvm/entry.h"
#include "uvm/fault_plan.h"
#include "uvm/locked_amap.h"
#include "uvm/pmap.h"

namespace uvm {

/// Part of one fault, used by its thread: chosen under the locks, read without, put in place under the locks
/// again. The slots are busy until it ends, which takes the amap's lock and so comes without it.
class PageIn {
 public:
  explicit PageIn(Pmap& pmap) : pmap_(pmap) {}
  ~PageIn();
  PageIn(const PageIn&) = delete;
  PageIn& operator=(const PageIn&) = delete;

  /// Once: the slot of `page` is in swap; so are those neighbours in `within` that are read with it, because
  /// they lie in the swap area as they lie in memory.
  void choose(const Entry& entry, const LockedAmap& amap, Gpa page, GpaRange within);
  /// Whether `page` of the entry is (still) what this one brings in.
  [[nodiscard]] bool is_for(const Entry& entry, Gpa page) const;
  [[nodiscard]] GpaRange range() const { return range_; }
  /// Pages; only_wanted() leaves the one that was asked for.
  [[nodiscard]] std::uint64_t pages() const { return anons_.size(); }
  void only_wanted();

  /// Without locks. Errors: PagerIo; what is in swap stays there.
  [[nodiscard]] Status read();

  /// The pages that the entry still shows become private: in place, entered with the plan's rights if its
  /// fill is Present; or anons where it asks for shareable ones. Returns which (empty: look again). Errors:
  /// NoMemory.
  [[nodiscard]] Result<GpaRange> finish(const Entry& entry, LockedAmap& amap, const FaultPlan& plan) const;

 private:
  [[nodiscard]] Status finish_shareable(LockedAmap& amap, GpaRange part) const;
  [[nodiscard]] Status finish_in_place(LockedAmap& amap, GpaRange part, const FaultPlan& plan) const;
  [[nodiscard]] std::uint64_t index_of(Gpa page) const { return (page - range_.begin()) >> kPageShift; }
  [[nodiscard]] std::span<const std::byte> bytes_of(GpaRange part) const {
    return std::span(bytes_).subspan(part.begin() - range_.begin(), part.size());
  }

  Pmap& pmap_;
  BusySlots busy_;
  Gpa wanted_;
  GpaRange range_;
  std::uint64_t slot_ = 0;   // of range_.begin(), in the amap
  Frame first_;              // of range_.begin(), in swap
  std::vector<Anon> anons_;  // of range_, each with a hold of ours: nobody frees what we read
  std::vector<std::byte> bytes_;
};

}  // namespace uvm
