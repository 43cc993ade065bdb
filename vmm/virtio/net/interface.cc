#include "vmm/virtio/net/interface.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "vmm/devices/registers.h"
#include "vmm/log.h"

namespace vmm::virtio::net {
namespace {

/// Frames in one turn: what else the thread has to do gets its own.
constexpr unsigned kMostAtOnce = 64;
constexpr std::uint16_t kLinkUp = 1;

// Of the configuration (virtio 1.2, 5.1.4).
constexpr std::size_t kConfigBytes = 12;
constexpr std::size_t kConfigStatus = 6;
constexpr std::size_t kConfigPairs = 8;
constexpr std::size_t kConfigMtu = 10;

}  // namespace

Interface::Interface(Setup setup)
    : id_(std::move(setup.id)),
      space_(setup.space),
      link_(std::move(setup.link)),
      kind_(setup.kind),
      is_up_(link_ != nullptr),
      mac_(setup.mac),
      buffers_(setup.space) {}

void Interface::read_config(std::uint64_t offset, std::span<std::byte> data) const {
  std::array<std::byte, kConfigBytes> config{};
  const std::span whole(config);
  {
    const uvm::MutexLock lock(mutex_);
    std::ranges::copy(std::as_bytes(std::span(mac_)), config.begin());
  }
  devices::store_le(whole.subspan(kConfigStatus, 2), is_up_ ? kLinkUp : 0);
  devices::store_le(whole.subspan(kConfigPairs, 2), 1);
  devices::store_le(whole.subspan(kConfigMtu, 2), kind_.mtu);
  devices::read_block(config, offset, data);
}

uvm::Status Interface::attach(const Thread& thread) {
  thread_.emplace(thread);
  return uvm::ok();
}

void Interface::started(QueueSet& queues) {
  queues_ = &queues;
  if (link_) {
    watch_.emplace(thread_->io, link_->fd());
    if (const auto agreed = link_->agree(queues.features()); !agreed) lose(agreed.error().text());
  }
  if (std::exchange(tell_, false)) thread_->config_changed();
}

void Interface::drain(std::function<void()> done) {
  watch_.reset();
  queues_ = nullptr;
  done();
}

void Interface::state(devices::StateFields& fields) {
  {
    const uvm::MutexLock lock(mutex_);
    fields.bytes(std::as_writable_bytes(std::span(mac_)));
  }
  bool was_up = is_up_;
  fields.field(was_up);
  if (!fields.restoring()) return;
  held_.reset();
  tell_ = was_up != is_up_;
}

void Interface::wait(FdWatch::For what, unsigned queue) {
  watch_->wait(what, [this, queue] {
    SplitQueue* const found = queues_ == nullptr ? nullptr : queues_->find(queue);
    if (found != nullptr && !serve(*found)) found->serve_again();
  });
}

void Interface::lose(const std::string& reason) {
  log::event(log::Level::Warning, "network interface has lost its link",
             {{"interface", id_}, {"link", link_->name()}, {"reason", reason}});
  watch_.reset();
  link_.reset();
  is_up_ = false;
  thread_->config_changed();
}

uvm::Status Interface::serve(SplitQueue& queue) {
  switch (queue.index()) {
    case kReceive:
      return receive(queue);
    case kTransmit:
      return transmit(queue);
    default:
      return uvm::ok();
  }
}

// ---- from the guest

uvm::Status Interface::transmit(SplitQueue& queue) {
  queue.hush();
  uvm::Result<Next> next = Next::More;
  for (unsigned frames = 0; next && *next == Next::More; ++frames) {
    if (frames == kMostAtOnce) {
      queue.serve_again();
      break;
    }
    next = transmit_one(queue);
  }
  queue.publish();
  if (link_ && link_->flush() == Outcome::Later) wait(FdWatch::For::Writing, kTransmit);
  return next ? uvm::ok() : uvm::Status(next.error());
}

uvm::Result<Interface::Next> Interface::transmit_one(SplitQueue& queue) {
  UVMM_TRY(const bool there, queue.pop(chain_));
  if (!there) return queue.listen() ? Next::More : Next::Wait;
  const Outcome outcome = send(chain_);
  if (outcome == Outcome::Later) {
    queue.unpop();
    wait(FdWatch::For::Writing, kTransmit);
    return Next::Wait;
  }
  if (outcome == Outcome::Done) {
    ++counters_.sent_frames;
    counters_.sent_bytes += chain_.readable_bytes() - sizeof(Header);
  } else {
    ++counters_.sent_drops;
  }
  queue.push(chain_.head, 0);
  if (outcome == Outcome::Gone) lose(link_->reason());
  return Next::More;
}

Outcome Interface::send(const Chain& chain) {
  const std::uint64_t bytes = chain.readable_bytes();
  if (!link_ || bytes < sizeof(Header) + kLeastFrameBytes || bytes > sizeof(Header) + kMostFrameBytes) {
    return Outcome::Refused;
  }
  const auto opened = GuestBytes::open(space_, chain.readable, uvm::AccessKind::Read);
  if (!opened) return Outcome::Refused;
  Header header;
  if (!copy_from(opened->parts(), 0, std::as_writable_bytes(std::span(&header, 1)))) return Outcome::Refused;
  if (!is_sound(header, bytes - sizeof header, queues_->features())) return Outcome::Refused;
  header.buffers = 0;
  parts_.clear();
  std::size_t skip = sizeof header;
  append_from(parts_, opened->parts(), skip);
  // One is left for what a link has to say beside the frame.
  if (parts_.size() >= GuestBytes::kMostParts) return Outcome::Refused;
  return link_->send(header, parts_);
}

// ---- to the guest

ReceiveBuffers::Merging Interface::merging() const {
  return (queues_->features() & feature::kMergeableBuffers) != 0 ? ReceiveBuffers::Merging::Yes
                                                                 : ReceiveBuffers::Merging::No;
}

uvm::Status Interface::receive(SplitQueue& queue) {
  if (!link_) return uvm::ok();
  queue.hush();
  uvm::Result<Next> next = Next::More;
  for (unsigned frames = 0; next && *next == Next::More; ++frames) {
    if (frames == kMostAtOnce) {
      queue.serve_again();
      break;
    }
    next = receive_one(queue);
  }
  buffers_.put_back(queue);
  queue.publish();
  return next ? uvm::ok() : uvm::Status(next.error());
}

uvm::Result<Interface::Next> Interface::receive_one(SplitQueue& queue) {
  if (held_) return place_held(queue);
  UVMM_CHECK(buffers_.gather(queue, expected_bytes_, merging()));
  // Until the driver has more, frames wait in the link.
  if (buffers_.chains() == 0) return queue.listen() ? Next::More : Next::Wait;
  Incoming frame;
  switch (link_->receive(buffers_.parts(), frame)) {
    case Outcome::Done:
      UVMM_CHECK(place(queue, frame));
      return Next::More;
    case Outcome::Later:
      wait(FdWatch::For::Reading, kReceive);
      return Next::Wait;
    case Outcome::Refused:
      ++counters_.received_drops;
      return Next::More;
    case Outcome::Gone:
      lose(link_->reason());
      return Next::Wait;
  }
  return Next::Wait;
}

uvm::Status Interface::place(SplitQueue& queue, const Incoming& frame) {
  expected_bytes_ = std::max(kUsualBytes, frame.bytes);
  const std::size_t placed = frame.bytes - frame.rest.size();
  if (!frame.rest.empty()) {
    UVMM_CHECK(buffers_.gather(queue, frame.bytes, merging()));
    if (buffers_.room() < frame.bytes) {
      Held held{frame.header, std::vector<std::byte>(placed)};
      if (!copy_from(buffers_.parts(), 0, held.bytes)) {
        ++counters_.received_drops;
        return uvm::ok();
      }
      held.bytes.insert(held.bytes.end(), frame.rest.begin(), frame.rest.end());
      held_ = std::move(held);
      return uvm::ok();
    }
    if (copy_to(buffers_.parts(), placed, frame.rest) != frame.rest.size()) {
      ++counters_.received_drops;
      return uvm::ok();
    }
  }
  deliver(queue, frame.header, frame.bytes);
  return uvm::ok();
}

uvm::Result<Interface::Next> Interface::place_held(SplitQueue& queue) {
  const std::size_t bytes = held_->bytes.size();
  UVMM_CHECK(buffers_.gather(queue, bytes, merging()));
  if (buffers_.room() < bytes) {
    const bool is_all = merging() == ReceiveBuffers::Merging::Yes ? buffers_.chains() == queue.size()
                                                                  : buffers_.chains() == 1;
    if (!is_all) return queue.listen() ? Next::More : Next::Wait;
    // The driver will never have room for it.
    ++counters_.received_drops;
  } else if (copy_to(buffers_.parts(), 0, held_->bytes) == bytes) {
    deliver(queue, held_->header, bytes);
  } else {
    ++counters_.received_drops;
  }
  held_.reset();
  return Next::More;
}

void Interface::deliver(SplitQueue& queue, const Header& header, std::size_t bytes) {
  buffers_.deliver(queue, header, bytes);
  ++counters_.received_frames;
  counters_.received_bytes += bytes;
}

MacAddress make_mac(std::string_view unique) {
  // FNV-1a: the same on each host and in each version.
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char letter : unique) {
    hash = (hash ^ static_cast<std::uint8_t>(letter)) * 0x100000001b3;
  }
  MacAddress mac{};
  for (std::size_t i = 0; i < mac.size(); ++i) mac.at(i) = static_cast<std::uint8_t>(hash >> (8 * i));
  mac[0] = static_cast<std::uint8_t>((mac[0] & ~1U) | 2U);  // to one station, and not a maker's
  return mac;
}

}  // namespace vmm::virtio::net
