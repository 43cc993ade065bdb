#include "uvm/page_queue.h"

#include <bit>

namespace uvm {
namespace {

/// Calls `visit(number, bits of the pages)` for every cluster that the range reaches into.
template <class F>
void each_cluster(GpaRange range, F&& visit) {
  while (!range.empty()) {
    const GpaRange whole = cluster_of(range.begin());
    const GpaRange part = range.intersection(whole);
    const std::uint32_t bits = ((1U << part.pages()) - 1U) << ((part.begin() - whole.begin()) >> kPageShift);
    visit(whole.begin().value() / kClusterBytes, bits);
    range = range.from(part.end());
  }
}

std::uint64_t ones(std::uint32_t bits) {
  return static_cast<std::uint64_t>(std::popcount(bits));
}

GpaRange range_of(std::uint64_t number) {
  return cluster_of(Gpa(number * kClusterBytes));
}

}  // namespace

void PageQueue::move(Clusters::iterator cluster, Queue& to) {
  Queue& from = *cluster->queue;
  to.clusters.splice(to.clusters.end(), from.clusters, cluster);
  from.pages -= ones(cluster->present);
  to.pages += ones(cluster->present);
  cluster->queue = &to;
}

void PageQueue::make_room(GpaRange range) {
  each_cluster(range, [&](std::uint64_t number, std::uint32_t) {
    if (index_.count(number) != 0) return;
    active_.clusters.push_back({number, 0, &active_});
    try {
      index_.emplace(number, std::prev(active_.clusters.end()));
    } catch (const std::bad_alloc&) {
      active_.clusters.pop_back();
      throw;
    }
  });
}

std::uint64_t PageQueue::add(GpaRange range) {
  make_room(range);
  std::uint64_t added = 0;
  each_cluster(range, [&](std::uint64_t number, std::uint32_t bits) {
    const auto cluster = index_.find(number)->second;
    const std::uint32_t fresh = bits & ~cluster->present;
    cluster->present |= fresh;
    cluster->queue->pages += ones(fresh);
    added += ones(fresh);
    move(cluster, active_);
  });
  return added;
}

std::uint64_t PageQueue::remove(GpaRange range) {
  std::uint64_t removed = 0;
  const auto take = [&](Clusters::iterator cluster, std::uint32_t bits) {
    const std::uint32_t gone = bits & cluster->present;
    cluster->present &= ~gone;
    cluster->queue->pages -= ones(gone);
    removed += ones(gone);
    if (cluster->present != 0) return;
    index_.erase(cluster->number);
    Clusters& clusters = cluster->queue->clusters;
    clusters.erase(cluster);
  };
  if (range.size() / kClusterBytes > index_.size()) {
    // A large range with few pages: look at the pages instead.
    for (auto at = index_.begin(); at != index_.end();) {
      const auto cluster = (at++)->second;
      each_cluster(range.intersection(range_of(cluster->number)),
                   [&](std::uint64_t, std::uint32_t bits) { take(cluster, bits); });
    }
    return removed;
  }
  each_cluster(range, [&](std::uint64_t number, std::uint32_t bits) {
    if (const auto found = index_.find(number); found != index_.end()) take(found->second, bits);
  });
  return removed;
}

bool PageQueue::use(Gpa page) {
  const auto found = index_.find(page.value() / kClusterBytes);
  if (found == index_.end()) return false;
  const bool was_inactive = found->second->queue == &inactive_;
  move(found->second, active_);
  return was_inactive;
}

void PageQueue::drop_empty(Queue& queue) {
  while (!queue.clusters.empty() && queue.clusters.front().present == 0) {
    index_.erase(queue.clusters.front().number);
    queue.clusters.pop_front();
  }
}

std::optional<GpaRange> PageQueue::deactivate() {
  drop_empty(active_);
  if (active_.clusters.empty()) return std::nullopt;
  const auto oldest = active_.clusters.begin();
  move(oldest, inactive_);
  return range_of(oldest->number);
}

std::optional<GpaRange> PageQueue::next_victim() {
  drop_empty(inactive_);
  if (inactive_.clusters.empty()) return std::nullopt;
  const auto oldest = inactive_.clusters.begin();
  move(oldest, inactive_);
  return range_of(oldest->number);
}

bool PageQueue::has(Gpa page) const {
  const auto found = index_.find(page.value() / kClusterBytes);
  if (found == index_.end()) return false;
  return (found->second->present >> (page.page() % kClusterPages) & 1U) != 0;
}

std::uint64_t PageQueue::count(GpaRange range) const {
  std::uint64_t known = 0;
  for (Gpa page = range.begin(); page < range.end(); page += kPageSize) known += has(page) ? 1U : 0U;
  return known;
}

std::uint64_t PageQueue::metadata_bytes() const {
  // A list node has two pointers and an index node one, each in an allocation of its own; a bucket has one.
  constexpr std::uint64_t kNode = sizeof(Cluster) + 2 * sizeof(void*) + 8;
  constexpr std::uint64_t kIndex = sizeof(std::uint64_t) + 2 * sizeof(void*) + 8;
  return index_.size() * (kNode + kIndex) + index_.bucket_count() * sizeof(void*);
}

}  // namespace uvm
