// A network interface of the guest's (virtio 1.2, 5.1): one pair of queues, and a link to the host.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "uvm/base/lock.h"
#include "uvm/space.h"
#include "vmm/virtio/fd_watch.h"
#include "vmm/virtio/local_device.h"
#include "vmm/virtio/net/link.h"
#include "vmm/virtio/net/options.h"
#include "vmm/virtio/net/receive_buffers.h"

namespace vmm::virtio::net {

/// Since the machine was built. Any thread.
struct Counters {
  std::atomic<std::uint64_t> received_frames = 0;  // by the guest
  std::atomic<std::uint64_t> received_bytes = 0;
  std::atomic<std::uint64_t> received_drops = 0;  // too long for the driver's buffers, or these are gone
  std::atomic<std::uint64_t> sent_frames = 0;
  std::atomic<std::uint64_t> sent_bytes = 0;
  std::atomic<std::uint64_t> sent_drops = 0;  // wrong headers, no link, or the link refused them
};

class Interface final : public Service {
 public:
  static constexpr unsigned kReceive = 0;
  static constexpr unsigned kTransmit = 1;

  struct Setup {
    std::string id;  // for the log
    MacAddress mac{};
    uvm::Space& space;           // outlives it
    std::unique_ptr<Link> link;  // null: the cable is out
    LinkKind kind;               // what the link is, or would be
  };
  explicit Interface(Setup setup);

  [[nodiscard]] const Counters& counters() const { return counters_; }

  [[nodiscard]] DeviceType type() const override { return DeviceType::Network; }
  [[nodiscard]] std::uint64_t features() const override {
    return kind_.features | feature::kMac | feature::kStatus;
  }
  [[nodiscard]] unsigned queues() const override { return 2; }
  void read_config(std::uint64_t offset, std::span<std::byte> data) const override;
  [[nodiscard]] uvm::Status attach(const Thread& thread) override;
  void started(QueueSet& queues) override;
  [[nodiscard]] uvm::Status serve(SplitQueue& queue) override;
  void drain(std::function<void()> done) override;
  void forget() override { held_.reset(); }
  void state(devices::StateFields& fields) override;

 private:
  enum class Next : std::uint8_t { More, Wait };
  /// A frame that came when the driver had too few buffers for it.
  struct Held {
    Header header;
    std::vector<std::byte> bytes;
  };

  [[nodiscard]] uvm::Status transmit(SplitQueue& queue);
  [[nodiscard]] uvm::Result<Next> transmit_one(SplitQueue& queue);
  [[nodiscard]] Outcome send(const Chain& chain);
  [[nodiscard]] uvm::Status receive(SplitQueue& queue);
  [[nodiscard]] uvm::Result<Next> receive_one(SplitQueue& queue);
  [[nodiscard]] uvm::Status place(SplitQueue& queue, const Incoming& frame);
  [[nodiscard]] uvm::Result<Next> place_held(SplitQueue& queue);
  void deliver(SplitQueue& queue, const Header& header, std::size_t bytes);
  /// Serves the queue when the link can be read or written.
  void wait(FdWatch::For what, unsigned queue);
  void lose(const std::string& reason);
  [[nodiscard]] ReceiveBuffers::Merging merging() const;

  const std::string id_;
  uvm::Space& space_;
  std::unique_ptr<Link> link_;
  const LinkKind kind_;
  Counters counters_;
  std::atomic<bool> is_up_;
  std::optional<Thread> thread_;

  mutable uvm::Mutex mutex_{uvm::LockRank::Leaf};
  MacAddress mac_ GUARDED_BY(mutex_);

  // The thread's.
  QueueSet* queues_ = nullptr;  // null: at rest
  std::optional<FdWatch> watch_;
  ReceiveBuffers buffers_;
  std::size_t expected_bytes_ = kUsualBytes;  // of the next frame
  std::optional<Held> held_;
  Chain chain_;               // whose room is used again
  std::vector<iovec> parts_;  // the same
  bool tell_ = false;         // the driver of a link that is not as it was

  static constexpr std::size_t kUsualBytes = 1514;
};

/// An address of its own for each interface that has been given none; `unique` says which it is.
[[nodiscard]] MacAddress make_mac(std::string_view unique);

}  // namespace vmm::virtio::net
