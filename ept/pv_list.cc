#include "ept/pv_list.h"

#include <algorithm>
#include <new>
#include <utility>

namespace ept {
namespace {

uvm::GpaRange range_of(uvm::Gpa at, std::uint64_t pages) {
  return uvm::GpaRange::from_size(at, pages << uvm::kPageShift).value_or(uvm::GpaRange());
}

}  // namespace

void PvList::enter(Space space, uvm::Gpa at, const uvm::FrameRun& frames) {
  uvm::MutexLock lock(mutex_);
  remove_locked(space, range_of(at, frames.count));
  insert_locked(space, at, frames);
}

bool PvList::remove(Space space, uvm::GpaRange range) noexcept {
  uvm::MutexLock lock(mutex_);
  try {
    remove_locked(space, range);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void PvList::remove_all(Space space) noexcept {
  uvm::MutexLock lock(mutex_);
  const auto runs = spaces_.find(space);
  if (runs == spaces_.end()) return;
  for (auto run = runs->second.begin(); run != runs->second.end();) {
    run = erase_locked(space, runs->second, run);
  }
  spaces_.erase(runs);
}

PvList::Runs::iterator PvList::erase_locked(Space space, Runs& runs, Runs::iterator run) {
  frames_.erase(Key{run->second.first.store, run->second.first.index, Place{space, run->first}});
  return runs.erase(run);
}

void PvList::add_locked(Space space, Runs& runs, uvm::Gpa at, const uvm::FrameRun& frames) {
  auto& longest = longest_[frames.first.store];
  const auto run = runs.emplace(at, frames).first;
  try {
    frames_.emplace(Key{frames.first.store, frames.first.index, Place{space, at}}, frames.count);
  } catch (const std::bad_alloc&) {
    runs.erase(run);
    throw;
  }
  longest = std::max(longest, frames.count);
}

void PvList::resize_locked(Space space, Runs::iterator run, std::uint64_t count) {
  const uvm::Frame first = run->second.first;
  run->second.count = count;
  frames_.find(Key{first.store, first.index, Place{space, run->first}})->second = count;
  auto& longest = longest_.find(first.store)->second;
  longest = std::max(longest, count);
}

void PvList::cut_front_locked(Space space, Runs& runs, Runs::iterator run, std::uint64_t pages) {
  const auto [at, frames] = *run;
  const uvm::FrameRun rest{frames.first + pages, frames.count - pages};
  const uvm::Gpa begin = at + (pages << uvm::kPageShift);
  auto record = frames_.extract(Key{frames.first.store, frames.first.index, Place{space, at}});
  record.key() = Key{rest.first.store, rest.first.index, Place{space, begin}};
  record.mapped() = rest.count;
  frames_.insert(std::move(record));
  auto node = runs.extract(run);
  node.key() = begin;
  node.mapped() = rest;
  runs.insert(std::move(node));
}

void PvList::insert_locked(Space space, uvm::Gpa at, const uvm::FrameRun& frames) {
  if (frames.count == 0) return;
  Runs& runs = spaces_[space];
  // Neighbours that continue each other become one record.
  auto left = runs.lower_bound(at);
  if (left != runs.begin()) --left;
  const bool joins_left = left != runs.end() && range_of(left->first, left->second.count).end() == at &&
                          left->second.first + left->second.count == frames.first;
  if (joins_left) {
    resize_locked(space, left, left->second.count + frames.count);
  } else {
    add_locked(space, runs, at, frames);
    left = runs.find(at);
  }
  const auto right = runs.find(range_of(left->first, left->second.count).end());
  if (right == runs.end() || left->second.first + left->second.count != right->second.first) return;
  resize_locked(space, left, left->second.count + right->second.count);
  erase_locked(space, runs, right);
}

void PvList::remove_locked(Space space, uvm::GpaRange range) {
  const auto found = spaces_.find(space);
  if (found == spaces_.end()) return;
  Runs& runs = found->second;
  auto run = runs.upper_bound(range.begin());
  if (run != runs.begin()) --run;
  while (run != runs.end() && run->first < range.end()) {
    const auto [begin, frames] = *run;
    const uvm::GpaRange covered = range_of(begin, frames.count);
    const auto next = std::next(run);
    const uvm::GpaRange head = covered.before(range.begin());
    const uvm::GpaRange tail = covered.from(range.end());
    if (!head.empty() && !tail.empty()) {
      // The only case that needs memory: alone in the range, so nothing has changed yet.
      add_locked(space, runs, tail.begin(), {frames.first + (frames.count - tail.pages()), tail.pages()});
    }
    if (!covered.overlaps(range)) {
      // before the range
    } else if (!head.empty()) {
      resize_locked(space, run, head.pages());
    } else if (!tail.empty()) {
      cut_front_locked(space, runs, run, frames.count - tail.pages());
    } else {
      erase_locked(space, runs, run);
    }
    run = next;
  }
}

std::vector<PvList::Place> PvList::places(uvm::Frame frame) const {
  uvm::MutexLock lock(mutex_);
  std::vector<Place> found;
  const auto longest = longest_.find(frame.store);
  if (longest == longest_.end()) return found;
  // Runs that begin further back than the longest run of this store cannot reach the frame.
  const std::uint64_t low = frame.index >= longest->second ? frame.index - longest->second + 1 : 0;
  for (auto run = frames_.lower_bound(Key{frame.store, low, {}});
       run != frames_.end() && run->first.store == frame.store && run->first.index <= frame.index; ++run) {
    const std::uint64_t inside = frame.index - run->first.index;
    if (inside < run->second) {
      found.push_back({run->first.place.space, run->first.place.address + (inside << uvm::kPageShift)});
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::uint64_t PvList::bytes() const {
  uvm::MutexLock lock(mutex_);
  constexpr std::uint64_t kNode = 48;  // of a red-black tree, without its payload
  return frames_.size() * (2 * kNode + sizeof(Key) + sizeof(uvm::FrameRun) + 2 * sizeof(std::uint64_t));
}

}  // namespace ept
