#include "vmm/debug/overlay.h"

#include <algorithm>

namespace vmm::debug {

using uvm::Gpa;
using uvm::Status;

Status Overlay::want(Gpa gpa, std::uint64_t linear) {
  const uvm::MutexLock lock(mutex_);
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
  const uvm::MutexLock lock(mutex_);
  const auto found = spots_.find(gpa);
  if (found == spots_.end()) return;
  found->second.wanted = false;
  if (!found->second.planted) spots_.erase(found);
}

void Overlay::unwant_all() {
  const uvm::MutexLock lock(mutex_);
  for (auto& [gpa, spot] : spots_) spot.wanted = false;
  std::erase_if(spots_, [](const auto& entry) { return !entry.second.planted; });
}

Status Overlay::plant() {
  const uvm::MutexLock lock(mutex_);
  if (suspensions_ == 0) return plant_locked();
  planting_due_ = true;
  return uvm::ok();
}

Status Overlay::plant_locked() {
  refused_.reset();
  for (auto at = spots_.begin(); at != spots_.end();) {
    const auto spot = at++;
    if (spot->second.wanted == spot->second.planted) continue;
    if (!spot->second.wanted) {
      UVMM_CHECK(lift_locked(spot));
      spots_.erase(spot);
      continue;
    }
    // The guest may have changed the byte while it was not planted.
    auto status = memory_.read(spot->first, std::span(&spot->second.original, 1));
    if (status) status = put(spot->first, trap_);
    if (!status) {
      refused_ = spot->first;
      return status;
    }
    set_planted_locked(spot->first, spot->second, true);
  }
  return uvm::ok();
}

uvm::Result<Overlay::Suspension> Overlay::suspend() {
  const uvm::MutexLock lock(mutex_);
  // A debugger that has only marked plants later, when it lets the guest go.
  if (suspensions_ == 0) planting_due_ = planted_count_ != 0;
  ++suspensions_;
  for (auto spot = spots_.begin(); spot != spots_.end(); ++spot) {
    if (!spot->second.planted) continue;
    auto status = lift_locked(spot);
    if (status) continue;
    if (--suspensions_ == 0 && planting_due_) static_cast<void>(plant_locked());
    return std::move(status).error();
  }
  return Suspension(*this);
}

void Overlay::end_suspension() {
  const uvm::MutexLock lock(mutex_);
  if (--suspensions_ != 0) return;
  std::erase_if(spots_, [](const auto& entry) { return !entry.second.wanted; });
  // What can't be planted now is told at the debugger's next plant().
  if (planting_due_) static_cast<void>(plant_locked());
}

void Overlay::set_trap(std::byte trap) {
  const uvm::MutexLock lock(mutex_);
  trap_ = trap;
}

std::vector<Overlay::Spot> Overlay::check() {
  const uvm::MutexLock lock(mutex_);
  std::vector<Spot> overwritten;
  std::vector<std::byte> page(uvm::kPageSize);  // read once, however many traps are in it
  std::optional<Gpa> held;
  bool readable = false;
  for (auto at = spots_.begin(); at != spots_.end();) {
    const auto spot = at++;
    if (!spot->second.planted) continue;
    if (held != spot->first.page_down()) {
      held = spot->first.page_down();
      readable = memory_.read(*held, page).has_value();
    }
    if (readable && page[spot->first.offset_in_page()] == trap_) continue;
    set_planted_locked(spot->first, spot->second, false);
    overwritten.push_back(spot->second);
    if (!spot->second.wanted) spots_.erase(spot);
  }
  return overwritten;
}

bool Overlay::planted(Gpa gpa) const {
  const uvm::MutexLock lock(mutex_);
  const auto found = spots_.find(gpa);
  return found != spots_.end() && found->second.planted;
}

bool Overlay::may_be_planted(std::uint64_t address) const {
  const uvm::MutexLock lock(mutex_);
  return offsets_[address & (uvm::kPageSize - 1)] != 0;
}

bool Overlay::any_wanted() const {
  const uvm::MutexLock lock(mutex_);
  return std::any_of(spots_.begin(), spots_.end(), [](const auto& entry) { return entry.second.wanted; });
}

bool Overlay::any_planted() const {
  const uvm::MutexLock lock(mutex_);
  return planted_count_ != 0;
}

std::optional<Gpa> Overlay::refused() const {
  const uvm::MutexLock lock(mutex_);
  return refused_;
}

std::vector<Gpa> Overlay::planted_places() const {
  std::vector<Gpa> places;
  const uvm::MutexLock lock(mutex_);
  for (const auto& [gpa, spot] : spots_) {
    if (spot.planted) places.push_back(gpa);
  }
  return places;
}

std::map<Gpa, Overlay::Spot> Overlay::spots() const {
  const uvm::MutexLock lock(mutex_);
  return spots_;
}

std::optional<Overlay::Spot> Overlay::find(Gpa gpa) const {
  const uvm::MutexLock lock(mutex_);
  const auto found = spots_.find(gpa);
  return found == spots_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<Gpa> Overlay::find_wanted(std::uint64_t linear) const {
  const uvm::MutexLock lock(mutex_);
  const auto found = std::ranges::find_if(
      spots_, [linear](const auto& entry) { return entry.second.wanted && entry.second.linear == linear; });
  return found == spots_.end() ? std::nullopt : std::optional(found->first);
}

void Overlay::hide(Gpa gpa, std::span<std::byte> bytes) const {
  const uvm::MutexLock lock(mutex_);
  for (auto at = spots_.lower_bound(gpa); at != spots_.end() && at->first - gpa < bytes.size(); ++at) {
    if (at->second.planted) bytes[at->first - gpa] = at->second.original;
  }
}

Status Overlay::write_through(Gpa gpa, std::span<const std::byte> bytes) {
  const uvm::MutexLock lock(mutex_);
  std::vector<std::byte> mixed(bytes.begin(), bytes.end());
  const auto first = spots_.lower_bound(gpa);
  auto last = first;
  for (; last != spots_.end() && last->first - gpa < bytes.size(); ++last) {
    if (last->second.planted) mixed[last->first - gpa] = trap_;
  }
  UVMM_CHECK(memory_.write(gpa, mixed));
  for (auto at = first; at != last; ++at) {
    if (at->second.planted) at->second.original = bytes[at->first - gpa];
  }
  return uvm::ok();
}

Status Overlay::put(Gpa gpa, std::byte value) {
  return memory_.write(gpa, std::span(&value, 1));
}

/// Only over our own byte: what the guest has written there since stays.
Status Overlay::lift_locked(Iterator spot) {
  const Gpa gpa = spot->first;
  std::byte now{};
  UVMM_CHECK(memory_.read(gpa, std::span(&now, 1)));
  if (now == trap_) UVMM_CHECK(put(gpa, spot->second.original));
  set_planted_locked(gpa, spot->second, false);
  if (!page_has_traps_locked(gpa)) memory_.reshare(gpa.page_down());
  return uvm::ok();
}

void Overlay::set_planted_locked(Gpa gpa, Spot& spot, bool planted) {
  spot.planted = planted;
  auto& count = offsets_[gpa.offset_in_page()];
  count = static_cast<std::uint16_t>(planted ? count + 1 : count - 1);
  planted ? ++planted_count_ : --planted_count_;
}

bool Overlay::page_has_traps_locked(Gpa gpa) const {
  const Gpa end = gpa.page_down() + uvm::kPageSize;
  return std::any_of(spots_.lower_bound(gpa.page_down()), spots_.lower_bound(end),
                     [](const auto& entry) { return entry.second.planted; });
}

}  // namespace vmm::debug
