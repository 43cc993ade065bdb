#include "vmm/vhost_user/unfinished.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace vmm::vhost_user {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::min();

/// Where each head stands last in the ring whose next position is `end`; kNever: it does not.
std::vector<std::int64_t> last_positions(const std::vector<std::uint16_t>& heads, std::int64_t end) {
  const auto size = static_cast<std::int64_t>(heads.size());
  std::vector<std::int64_t> last(heads.size(), kNever);
  for (std::int64_t position = end - size; position < end; ++position) {
    const std::uint16_t head = heads[static_cast<std::size_t>((position + size) % size)];
    if (head < last.size()) last[head] = position;
  }
  return last;
}

}  // namespace

Unfinished::Unfinished(const virtio::RingContents& ring) {
  const std::size_t size = ring.available_heads.size();
  const auto out = static_cast<std::uint16_t>(ring.available - ring.used);
  if (out == 0 || out > size || ring.used_heads.size() != size) return;
  count_ = out;
  const std::int64_t used = ring.used;
  const auto made_available = last_positions(ring.available_heads, used + out);
  const auto given_back = last_positions(ring.used_heads, used);
  for (std::size_t head = 0; head < size; ++head) {
    if (made_available[head] == kNever) continue;
    // The n-th chain that is given back is one of those that n notes of the driver's came before: what was
    // made available by then is that one's turn, and it is free.
    if (given_back[head] != kNever && given_back[head] >= made_available[head]) continue;
    candidates_.push_back(static_cast<std::uint16_t>(head));
  }
}

void Unfinished::is_free(std::uint16_t head) {
  const auto at = std::ranges::lower_bound(candidates_, head);
  if (at != candidates_.end() && *at == head) candidates_.erase(at);
}

std::vector<std::uint16_t> Unfinished::take() {
  if (candidates_.size() != count_) return {};
  count_ = 0;
  return std::exchange(candidates_, {});
}

}  // namespace vmm::vhost_user
