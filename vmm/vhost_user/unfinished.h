// Which chains of a split ring a device has not given back, when nobody is left to ask.
#pragma once

#include <cstdint>
#include <vector>

#include "vmm/virtio/split_queue.h"

namespace vmm::vhost_user {

/// A ring says how many chains are out, not which: what was used first need not have been made available
/// first. So there are candidates, of which the driver rules out one after the other, since what it makes
/// available again was not out; when as many are left as are out, these are they. A chain that as many later
/// ones as the ring has entries have overtaken is not seen. Not thread-safe.
class Unfinished {
 public:
  /// Nothing is out: of a device that has not begun.
  Unfinished() = default;
  /// The driver's words, which may be nonsense: then nothing is found.
  explicit Unfinished(const virtio::RingContents& ring);

  /// The driver has made a chain with this head available since.
  void is_free(std::uint16_t head);
  /// The heads of all that are out, each once ever; empty as long as that is not certain.
  [[nodiscard]] std::vector<std::uint16_t> take();
  /// How many are out, known or not, and were not taken.
  [[nodiscard]] std::size_t count() const { return count_; }

 private:
  std::vector<std::uint16_t> candidates_;  // ascending
  std::size_t count_ = 0;
};

}  // namespace vmm::vhost_user
