#include "vmm/vhost_user/failed_queues.h"

#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <span>
#include <utility>

#include "uvm/access.h"
#include "vmm/devices/registers.h"
#include "vmm/virtio/blk/request.h"
#include "vmm/virtio/guest_bytes.h"

namespace vmm::vhost_user {
namespace {

// FUSE (linux/fuse.h): what an answer is, and what a request begins with. The request's number, of eight
// bytes, is at the same place in both.
constexpr std::uint32_t kAnswerBytes = 16;
constexpr std::size_t kUnique = 8;

}  // namespace

FailedQueues::FailedQueues(Surroundings around, Kind kind, const virtio::Activation& activation)
    : around_(std::move(around)), kind_(kind), features_(activation.features) {
  for (const virtio::Queue& queue : activation.queues) {
    auto taken = take_over(queue);
    if (!taken) continue;
    queues_.push_back(*std::move(taken));
    // The back end may have ended between an answer and the interrupt for it.
    ::eventfd_write(queue.call->get(), 1);
  }
}

uvm::Result<FailedQueues::FailedQueue> FailedQueues::take_over(const virtio::Queue& queue) const {
  UVMM_TRY(const auto ring, virtio::SplitQueue::create(around_, queue, features_));
  const virtio::RingContents left = ring.contents();
  return FailedQueue{queue, {left.available, left.used}, Unfinished(left), false};
}

std::size_t FailedQueues::unanswered() const {
  std::size_t sum = 0;
  for (const FailedQueue& failed : queues_) sum += failed.unfinished.count();
  return sum;
}

uvm::Status FailedQueues::serve(std::size_t at) {
  FailedQueue& failed = queues_[at];
  if (failed.broken) return uvm::ok();
  auto served = answer_all(failed);
  failed.broken = !served;
  return served;
}

uvm::Status FailedQueues::answer_all(FailedQueue& failed) {
  UVMM_TRY(auto ring, virtio::SplitQueue::create(around_, failed.queue, features_, failed.position));
  virtio::Chain chain;
  UVMM_CHECK(ring.each(chain, [&](const virtio::Chain& next) {
    failed.unfinished.is_free(next.head);
    refuse(ring, next);
    return uvm::ok();
  }));
  for (const std::uint16_t head : failed.unfinished.take()) {
    UVMM_CHECK(ring.look_at(head, chain));
    refuse(ring, chain);
  }
  ring.publish();
  failed.position = ring.position();
  return uvm::ok();
}

void FailedQueues::refuse(virtio::SplitQueue& ring, const virtio::Chain& chain) const {
  ring.push(chain.head, kind_ == Kind::Block ? refuse_block(chain) : refuse_file_system(chain));
}

std::uint32_t FailedQueues::refuse_block(const virtio::Chain& chain) const {
  virtio::blk::Frame frame;
  if (!frame.read(chain)) return 0;
  // What the driver has taken away meanwhile it does not get.
  static_cast<void>(uvm::Access::write_value(around_.space, uvm::Gpa(frame.status_gpa),
                                             virtio::blk::RequestStatus::IoError));
  return static_cast<std::uint32_t>(chain.writable_bytes());
}

std::uint32_t FailedQueues::refuse_file_system(const virtio::Chain& chain) const {
  // A request that wants no answer has no room for one.
  if (chain.writable_bytes() < kAnswerBytes) return 0;
  std::array<std::byte, kAnswerBytes> bytes{};
  static_cast<void>(virtio::read_segments(around_.space, chain.readable, bytes));
  const std::span<std::byte> answer(bytes);
  devices::store_le(answer.first(4), kAnswerBytes);
  devices::store_le(answer.subspan(4, kUnique - 4), static_cast<std::uint32_t>(-EIO));
  static_cast<void>(virtio::write_segments(around_.space, chain.writable, answer));
  return kAnswerBytes;
}

}  // namespace vmm::vhost_user
