#include "uvm/statistics.h"

namespace uvm {

FaultStatistics FaultCounters::snapshot() const {
  const auto look = [](const std::atomic<std::uint64_t>& counter) {
    return counter.load(std::memory_order_relaxed);
  };
  FaultStatistics seen;
  seen.faults = look(faults);
  seen.already = look(already);
  seen.anon = look(anon);
  seen.anon_copied = look(anon_copied);
  seen.object = look(object);
  seen.object_copied = look(object_copied);
  seen.zero_filled = look(zero_filled);
  seen.paged_in = look(paged_in);
  seen.left_to_host = look(left_to_host);
  seen.pages_entered = look(pages_entered);
  seen.clusters = look(clusters);
  seen.amap_copies = look(amap_copies);
  seen.restarts = look(restarts);
  seen.peeks = look(peeks);
  seen.pokes = look(pokes);
  seen.reshared = look(reshared);
  seen.discarded = look(discarded);
  seen.refused = look(refused);
  return seen;
}

}  // namespace uvm
