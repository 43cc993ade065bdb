#include "ept/pv_list.h"

#include <algorithm>

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

void PvList::remove(Space space, uvm::GpaRange range) {
  uvm::MutexLock lock(mutex_);
  remove_locked(space, range);
}

void PvList::remove_all(Space space) {
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

void PvList::insert_locked(Space space, uvm::Gpa at, const uvm::FrameRun& frames) {
  if (frames.count == 0) return;
  Runs& runs = spaces_[space];
  uvm::Gpa begin = at;
  uvm::FrameRun whole = frames;
  // Neighbours that continue each other become one record.
  if (auto left = runs.lower_bound(at); left != runs.begin()) {
    --left;
    if (range_of(left->first, left->second.count).end() == at &&
        left->second.first + left->second.count == frames.first) {
      begin = left->first;
      whole = {left->second.first, left->second.count + frames.count};
      erase_locked(space, runs, left);
    }
  }
  if (auto right = runs.find(range_of(begin, whole.count).end());
      right != runs.end() && whole.first + whole.count == right->second.first) {
    whole.count += right->second.count;
    erase_locked(space, runs, right);
  }
  runs.emplace(begin, whole);
  frames_.emplace(Key{whole.first.store, whole.first.index, Place{space, begin}}, whole.count);
  auto& longest = longest_[whole.first.store];
  longest = std::max(longest, whole.count);
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
    if (!covered.overlaps(range)) {
      ++run;
      continue;
    }
    run = erase_locked(space, runs, run);
    const uvm::GpaRange head = covered.before(range.begin());
    const uvm::GpaRange tail = covered.from(range.end());
    insert_locked(space, begin, {frames.first, head.pages()});
    insert_locked(space, tail.begin(), {frames.first + (frames.count - tail.pages()), tail.pages()});
    run = runs.lower_bound(std::max(range.begin(), begin));
    if (!tail.empty()) break;
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
