#include "vmm/virtio/vsock/socket_device.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "vmm/devices/registers.h"

namespace vmm::virtio::vsock {
namespace {

/// Packets in one turn: what else the thread has to do gets its own.
constexpr unsigned kMostAtOnce = 64;
constexpr std::uint64_t kMostChainBytes = sizeof(Header) + (std::uint64_t{64} << 10);

}  // namespace

SocketDevice::SocketDevice(Setup setup)
    : space_(setup.space), guest_cid_(setup.guest_cid), listener_(std::move(setup.listener)) {}

void SocketDevice::read_config(std::uint64_t offset, std::span<std::byte> data) const {
  std::array<std::byte, sizeof(std::uint64_t)> config{};
  devices::store_le(config, guest_cid_);
  devices::read_block(config, offset, data);
}

uvm::Status SocketDevice::attach(const Thread& thread) {
  host_.emplace(
      Host::Setup{thread.io, guest_cid_, std::exchange(listener_, std::nullopt), [this] { also(kReceive); }});
  return uvm::ok();
}

void SocketDevice::started(QueueSet& queues) {
  queues_ = &queues;
  if (std::exchange(is_stale_, false)) host_->close();
  host_->open();
}

void SocketDevice::drain(std::function<void()> done) {
  queues_ = nullptr;
  done();
}

void SocketDevice::forget() {
  host_->close();
  is_stale_ = owes_reset_ = transmit_waits_ = false;
}

void SocketDevice::state(devices::StateFields& fields) {
  // Whatever the guest was connected to is not there for a copy.
  fields.field(owes_reset_);
  if (fields.restoring()) is_stale_ = owes_reset_ = true;
}

uvm::Status SocketDevice::serve(SplitQueue& queue) {
  switch (queue.index()) {
    case kReceive:
      return receive(queue);
    case kTransmit:
      return transmit(queue);
    case kEvents:
      return tell(queue);
    default:
      return uvm::ok();
  }
}

void SocketDevice::also(unsigned index) {
  SplitQueue* const queue = queues_ == nullptr ? nullptr : queues_->find(index);
  if (queue != nullptr && !serve(*queue)) queue->serve_again();
}

std::span<const iovec> SocketDevice::behind_header(const GuestBytes& bytes) {
  parts_.clear();
  std::size_t skip = sizeof(Header);
  append_from(parts_, bytes.parts(), skip);
  return parts_;
}

// ---- from the guest

uvm::Status SocketDevice::transmit(SplitQueue& queue) {
  queue.hush();
  for (unsigned packets = 0;; ++packets) {
    // A guest that takes no answers is not listened to.
    transmit_waits_ = host_->is_full();
    if (transmit_waits_) break;
    if (packets == kMostAtOnce) {
      queue.serve_again();
      break;
    }
    UVMM_TRY(const bool there, queue.pop(chain_));
    if (!there) {
      if (queue.listen()) continue;
      break;
    }
    take(chain_);
    queue.push(chain_.head, 0);
  }
  queue.publish();
  also(kReceive);
  return uvm::ok();
}

void SocketDevice::take(const Chain& chain) {
  const auto opened = GuestBytes::open(space_, chain.readable, uvm::AccessKind::Read, 0, kMostChainBytes);
  Header header;
  const auto head = std::as_writable_bytes(std::span(&header, 1));
  const bool is_whole = opened && copy_from(opened->parts(), 0, head) == sizeof header;
  if (!is_whole || !host_->take(header, behind_header(*opened))) {
    ++counters_.sent_drops;
    return;
  }
  ++counters_.sent_packets;
  counters_.sent_bytes += header.bytes;
}

// ---- to the guest

uvm::Status SocketDevice::receive(SplitQueue& queue) {
  queue.hush();
  uvm::Result<bool> more = true;
  for (unsigned packets = 0; more && *more; ++packets) {
    if (packets == kMostAtOnce) {
      queue.serve_again();
      break;
    }
    more = give(queue);
  }
  queue.publish();
  if (transmit_waits_ && !host_->is_full() && queues_ != nullptr) {
    if (const SplitQueue* const waiting = queues_->find(kTransmit)) waiting->serve_again();
  }
  return more ? uvm::ok() : uvm::Status(more.error());
}

uvm::Result<bool> SocketDevice::give(SplitQueue& queue) {
  UVMM_TRY(const bool there, queue.pop(chain_));
  if (!there) return queue.listen();
  auto opened =
      chain_.writable_bytes() < sizeof(Header)
          ? uvm::Error(uvm::ErrorKind::Invalid,
                       "a buffer for packets of " + std::to_string(chain_.writable_bytes()) + " bytes")
          : GuestBytes::open(space_, chain_.writable, uvm::AccessKind::Write, 0, kMostChainBytes);
  if (!opened) {
    queue.unpop();
    return std::move(opened).error();
  }
  const auto packet = host_->give(behind_header(*opened));
  if (!packet) {
    queue.unpop();
    return false;
  }
  (void)copy_to(opened->parts(), 0, std::as_bytes(std::span(&*packet, 1)));
  queue.push(chain_.head, static_cast<std::uint32_t>(sizeof(Header)) + packet->bytes);
  ++counters_.received_packets;
  counters_.received_bytes += packet->bytes;
  return true;
}

uvm::Status SocketDevice::tell(SplitQueue& queue) {
  if (!owes_reset_) return uvm::ok();
  UVMM_TRY(const bool there, queue.pop(chain_));
  if (!there) {
    if (queue.listen()) queue.serve_again();
    return uvm::ok();
  }
  const Event event;
  const auto opened = GuestBytes::open(space_, chain_.writable, uvm::AccessKind::Write);
  const auto written =
      opened ? copy_to(opened->parts(), 0, std::as_bytes(std::span(&event, 1))) : std::nullopt;
  queue.push(chain_.head, static_cast<std::uint32_t>(written.value_or(0)));
  queue.publish();
  owes_reset_ = false;
  return uvm::ok();
}

}  // namespace vmm::virtio::vsock
