// Which pages the host made private: asked for by uvm when it has to know.
#include <vector>

#include "ept/pmap.h"

namespace ept {

void Pmap::harvest(uvm::GpaRange range, const std::function<void(uvm::GpaRange, uvm::Frame)>& found) {
  const uvm::GpaRange mine = range.intersection(config_.covered);
  if (mine.empty()) return;
  std::vector<uvm::GpaRange> runs;
  {
    uvm::MutexLock lock(mutex_);
    runs = loader_.private_runs(mine);
  }
  for (const uvm::GpaRange run : runs) found(run, private_frame(run.begin()));
}

void Pmap::harvest_each(std::span<const uvm::GpaRange> ranges,
                        const std::function<void(uvm::GpaRange, uvm::Frame)>& found) {
  const auto all = *uvm::GpaRange::from_bounds(ranges.front().begin(), ranges.back().end());
  if (!config_.covered.contains(all)) return harvest(all, found);
  std::vector<uvm::GpaRange> runs;
  bool is_known = false;
  {
    uvm::MutexLock lock(mutex_);
    is_known = ranges.size() == 1 && loader_.window().knows_private(all);
    if (!is_known) runs = loader_.private_runs(ranges);
  }
  if (is_known) return found(all, private_frame(all.begin()));
  for (const uvm::GpaRange run : runs) found(run, private_frame(run.begin()));
}

std::optional<uvm::Frame> Pmap::harvest_page(uvm::Gpa page) {
  const uvm::GpaRange range = uvm::GpaRange::page_of(page);
  if (!check(range)) return std::nullopt;
  uvm::MutexLock lock(mutex_);
  if (!loader_.is_private(page.page_down())) return std::nullopt;
  return private_frame(page);
}

}  // namespace ept
