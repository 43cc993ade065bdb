#include "vmm/debug/overlay.h"

#include <algorithm>

namespace vmm::debug {

using uvm::Gpa;
using uvm::Status;

Status Overlay::want(Gpa gpa, std::uint64_t linear) {
  const auto found = spots_.find(gpa);
  if (found != spots_.end()) {
    found->second.wanted = true;
    return uvm::ok();
  }
  Spot spot{linear, true, false, {}};
  UVMM_CHECK(memory_.read(gpa, std::span(&spot.original, 1)));
  spots_.emplace(gpa, spot);
  return uvm::ok();
}

void Overlay::unwant(Gpa gpa) {
  const auto found = spots_.find(gpa);
  if (found == spots_.end()) return;
  found->second.wanted = false;
  if (!found->second.planted) spots_.erase(found);
}

void Overlay::unwant_all() {
  for (auto& [gpa, spot] : spots_) spot.wanted = false;
  std::erase_if(spots_, [](const auto& entry) { return !entry.second.planted; });
}

Status Overlay::plant() {
  refused_.reset();
  for (auto at = spots_.begin(); at != spots_.end();) {
    const auto spot = at++;
    if (spot->second.wanted == spot->second.planted) continue;
    if (!spot->second.wanted) {
      UVMM_CHECK(lift(spot));
      continue;
    }
    // The guest may have changed the byte while it was not planted.
    auto status = memory_.read(spot->first, std::span(&spot->second.original, 1));
    if (status) status = put(spot->first, trap_);
    if (!status) {
      refused_ = spot->first;
      return status;
    }
    set_planted(spot->first, spot->second, true);
  }
  return uvm::ok();
}

std::vector<Overlay::Spot> Overlay::check() {
  std::vector<Spot> overwritten;
  for (auto at = spots_.begin(); at != spots_.end();) {
    const auto spot = at++;
    if (!spot->second.planted) continue;
    std::byte now{};
    if (memory_.read(spot->first, std::span(&now, 1)) && now == trap_) continue;
    set_planted(spot->first, spot->second, false);
    overwritten.push_back(spot->second);
    if (!spot->second.wanted) spots_.erase(spot);
  }
  return overwritten;
}

bool Overlay::planted(Gpa gpa) const {
  const auto found = spots_.find(gpa);
  return found != spots_.end() && found->second.planted;
}

bool Overlay::may_be_planted(std::uint64_t address) const {
  return offsets_[address & (uvm::kPageSize - 1)] != 0;
}

bool Overlay::any_wanted() const {
  return std::any_of(spots_.begin(), spots_.end(), [](const auto& entry) { return entry.second.wanted; });
}

void Overlay::hide(Gpa gpa, std::span<std::byte> bytes) const {
  for (auto at = spots_.lower_bound(gpa); at != spots_.end() && at->first - gpa < bytes.size(); ++at) {
    if (at->second.planted) bytes[at->first - gpa] = at->second.original;
  }
}

Status Overlay::write_through(Gpa gpa, std::span<const std::byte> bytes) {
  std::vector<std::byte> mixed(bytes.begin(), bytes.end());
  const auto each_planted = [&](auto&& step) {
    for (auto at = spots_.lower_bound(gpa); at != spots_.end() && at->first - gpa < bytes.size(); ++at) {
      if (at->second.planted) step(at->second, at->first - gpa);
    }
  };
  each_planted([&](const Spot&, std::uint64_t index) { mixed[index] = trap_; });
  UVMM_CHECK(memory_.write(gpa, mixed));
  each_planted([&](Spot& spot, std::uint64_t index) { spot.original = bytes[index]; });
  return uvm::ok();
}

Status Overlay::put(Gpa gpa, std::byte value) {
  return memory_.write(gpa, std::span(&value, 1));
}

/// Only over our own byte: what the guest has written there since stays.
Status Overlay::lift(Iterator spot) {
  const Gpa gpa = spot->first;
  std::byte now{};
  UVMM_CHECK(memory_.read(gpa, std::span(&now, 1)));
  if (now == trap_) UVMM_CHECK(put(gpa, spot->second.original));
  set_planted(gpa, spot->second, false);
  spots_.erase(spot);
  if (!page_has_traps(gpa)) memory_.reshare(gpa.page_down());
  return uvm::ok();
}

void Overlay::set_planted(Gpa gpa, Spot& spot, bool planted) {
  spot.planted = planted;
  auto& count = offsets_[gpa.offset_in_page()];
  count = static_cast<std::uint16_t>(planted ? count + 1 : count - 1);
  planted ? ++planted_count_ : --planted_count_;
}

bool Overlay::page_has_traps(Gpa gpa) const {
  const Gpa end = gpa.page_down() + uvm::kPageSize;
  return std::any_of(spots_.lower_bound(gpa.page_down()), spots_.lower_bound(end),
                     [](const auto& entry) { return entry.second.planted; });
}

}  // namespace vmm::debug
