// PageQueue: which private pages of a space are in memory, and which of them were used lately.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <unordered_map>

#include "uvm/base/range.h"

namespace uvm {

/// Pages that go out, come in, are hidden and are found used together: an aligned group.
inline constexpr std::uint64_t kClusterPages = 16;
inline constexpr std::uint64_t kClusterBytes = kClusterPages * kPageSize;

/// The cluster that holds `address`, which is below kAddressLimit.
[[nodiscard]] constexpr GpaRange cluster_of(Gpa address) {
  return GpaRange::from_size(address.align_down(kClusterBytes), kClusterBytes).value_or(GpaRange());
}

/// Two queues, first in, first out: active clusters, and inactive ones, whose pages are hidden to see whether
/// they are missed. About 90 bytes a cluster that has a page in memory (0.14 % of it), none for the others.
/// Not thread-safe. Ranges are page-aligned.
class PageQueue {
 public:
  /// Room for the clusters of the range: add() of its parts needs no memory afterwards.
  void make_room(GpaRange range);
  /// The pages are in memory and in use: their clusters become the youngest active ones. Returns how many
  /// were not known before.
  std::uint64_t add(GpaRange range);
  /// The pages are no longer in memory. Returns how many were known.
  std::uint64_t remove(GpaRange range);
  /// The cluster of a known page becomes the youngest active one. True when it was inactive.
  bool use(Gpa page);

  /// The oldest active cluster becomes the youngest inactive one.
  [[nodiscard]] std::optional<GpaRange> deactivate();
  /// The oldest inactive cluster; it becomes the youngest, so that the next caller gets another one.
  [[nodiscard]] std::optional<GpaRange> next_victim();

  [[nodiscard]] bool has(Gpa page) const;
  /// How many pages of a (short) range are known.
  [[nodiscard]] std::uint64_t count(GpaRange range) const;
  /// Pages.
  [[nodiscard]] std::uint64_t active() const { return active_.pages; }
  [[nodiscard]] std::uint64_t inactive() const { return inactive_.pages; }
  [[nodiscard]] std::uint64_t clusters() const { return index_.size(); }
  [[nodiscard]] std::uint64_t metadata_bytes() const;

 private:
  struct Queue;
  struct Cluster {
    std::uint64_t number;   // address / kClusterBytes
    std::uint32_t present;  // a bit a page
    Queue* queue;
  };
  using Clusters = std::list<Cluster>;
  struct Queue {
    Clusters clusters;  // oldest first
    std::uint64_t pages = 0;
  };

  static void move(Clusters::iterator cluster, Queue& to);
  /// Drops records without pages from the front of a queue.
  void drop_empty(Queue& queue);

  Queue active_;
  Queue inactive_;
  std::unordered_map<std::uint64_t, Clusters::iterator> index_;  // by number
};

}  // namespace uvm
