#include "uvm/page_in.h"

#include <algorithm>

#include "uvm/promote.h"
#include "uvm/swap.h"

namespace uvm {

PageIn::~PageIn() {
  for (const Anon& anon : anons_) anon.release(pmap_);
}

void PageIn::choose(const Entry& entry, const LockedAmap& amap, Gpa page, GpaRange within) {
  busy_ = BusySlots(entry.amap);
  wanted_ = page;
  const GpaRange most = within.intersection(entry.range);
  const Frame frame = amap.find(entry.slot_of(page))->frame();
  // How far the slots of the amap and of the area go up together.
  const auto belongs = [&](Gpa at) {
    const std::uint64_t slot = entry.slot_of(at);
    const auto anon = amap.find(slot);
    const std::uint64_t expected = frame.index + ((at - page) >> kPageShift);  // wraps back below `page`
    return anon && anon->frame() == Frame{frame.store, expected} && !amap.is_busy(slot);
  };
  Gpa begin = page;
  while (begin > most.begin() && belongs(begin - kPageSize)) begin = begin - kPageSize;
  Gpa end = page + kPageSize;
  while (end < most.end() && belongs(end)) end += kPageSize;
  range_ = *GpaRange::from_bounds(begin, end);
  slot_ = entry.slot_of(begin);
  first_ = amap.find(slot_)->frame();
  bytes_.resize(range_.size());
  anons_.reserve(range_.pages());
  for (std::uint64_t slot = slot_; slot < slot_ + range_.pages(); ++slot) {
    busy_.add(slot);
    const Anon anon = *amap.find(slot);
    anon.reference();
    anons_.push_back(anon);
  }
}

bool PageIn::is_for(const Entry& entry, Gpa page) const {
  return page == wanted_ && entry.amap == busy_.amap() && entry.slot_of(page) == slot_ + index_of(page);
}

void PageIn::only_wanted() {
  const std::uint64_t kept = index_of(wanted_);
  for (std::uint64_t i = 0; i < anons_.size(); ++i) {
    if (i != kept) anons_[i].release(pmap_);
  }
  anons_.assign(1, anons_[kept]);
  busy_.keep_only(slot_ + kept);
  slot_ += kept;
  first_ = first_ + kept;
  range_ = GpaRange::page_of(wanted_);
  bytes_.resize(range_.size());
}

Status PageIn::read() {
  return first_.store->as_swap()->read({first_.index}, bytes_);
}

Result<GpaRange> PageIn::finish(const Entry& entry, LockedAmap& amap, const FaultPlan& plan) const {
  const GpaRange part = range_.intersection(entry.range);
  for (Gpa page = part.begin(); page < part.end(); page += kPageSize) {
    if (amap.find(entry.slot_of(page)) != anons_[index_of(page)]) return GpaRange();
  }
  UVMM_CHECK(plan.placement == Placement::Shareable ? finish_shareable(amap, part)
                                                    : finish_in_place(amap, part, plan));
  return part;
}

Status PageIn::finish_shareable(LockedAmap& amap, GpaRange part) const {
  for (Gpa page = part.begin(); page < part.end(); page += kPageSize) {
    const Promotion promotion{page, std::nullopt, Placement::Shareable, bytes_of(GpaRange::page_of(page))};
    UVMM_CHECK(promote_slot(pmap_, amap, slot_ + index_of(page), promotion));
  }
  return ok();
}

Status PageIn::finish_in_place(LockedAmap& amap, GpaRange part, const FaultPlan& plan) const {
  // First, so that nothing has to be asked for once the pages are there.
  amap.make_room(slot_ + index_of(part.begin()), pmap_);
  amap.make_room(slot_ + index_of(part.end()) - 1, pmap_);
  if (plan.fill == Fill::Present && plan.rights != Protection::None) {
    UVMM_CHECK(pmap_.enter({part, std::nullopt, Fill::Present, plan.rights}));
  }
  UVMM_CHECK(pmap_.fill(part, bytes_of(part)));
  for (Gpa page = part.begin(); page < part.end(); page += kPageSize) {
    amap.drop(slot_ + index_of(page), pmap_);
  }
  return ok();
}

}  // namespace uvm
