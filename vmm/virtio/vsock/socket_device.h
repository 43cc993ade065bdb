// The virtio socket device (virtio 1.2, 5.10): its three queues, and what they carry.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "uvm/space.h"
#include "vmm/virtio/guest_bytes.h"
#include "vmm/virtio/local_device.h"
#include "vmm/virtio/vsock/host.h"

namespace vmm::virtio::vsock {

/// Since the machine was built. Any thread.
struct Counters {
  std::atomic<std::uint64_t> received_packets = 0;  // by the guest
  std::atomic<std::uint64_t> received_bytes = 0;
  std::atomic<std::uint64_t> sent_packets = 0;
  std::atomic<std::uint64_t> sent_bytes = 0;
  std::atomic<std::uint64_t> sent_drops = 0;  // packets that nobody could answer
};

class SocketDevice final : public Service {
 public:
  static constexpr unsigned kReceive = 0;
  static constexpr unsigned kTransmit = 1;
  static constexpr unsigned kEvents = 2;

  struct Setup {
    uvm::Space& space;  // outlives it
    std::uint32_t guest_cid = 0;
    std::optional<Listener> listener;  // none: nobody here gets to the guest, nor it to anybody
  };
  explicit SocketDevice(Setup setup);

  [[nodiscard]] const Counters& counters() const { return counters_; }

  [[nodiscard]] DeviceType type() const override { return DeviceType::Socket; }
  [[nodiscard]] std::uint64_t features() const override { return 0; }  // streams, then
  [[nodiscard]] unsigned queues() const override { return 3; }
  void read_config(std::uint64_t offset, std::span<std::byte> data) const override;
  [[nodiscard]] uvm::Status attach(const Thread& thread) override;
  void started(QueueSet& queues) override;
  [[nodiscard]] uvm::Status serve(SplitQueue& queue) override;
  void drain(std::function<void()> done) override;
  void forget() override;
  void state(devices::StateFields& fields) override;

 private:
  [[nodiscard]] uvm::Status transmit(SplitQueue& queue);
  void take(const Chain& chain);
  [[nodiscard]] uvm::Status receive(SplitQueue& queue);
  /// False: there is no packet, and the chain is not used.
  [[nodiscard]] uvm::Result<bool> give(SplitQueue& queue);
  [[nodiscard]] uvm::Status tell(SplitQueue& queue);
  /// Serves another queue than the one whose turn it is.
  void also(unsigned index);
  /// What stands behind the header.
  [[nodiscard]] std::span<const iovec> behind_header(const GuestBytes& bytes);

  uvm::Space& space_;
  const std::uint32_t guest_cid_;
  std::optional<Listener> listener_;  // until attach()
  Counters counters_;

  // The thread's.
  std::optional<Host> host_;
  QueueSet* queues_ = nullptr;  // null: at rest
  bool is_stale_ = false;       // connections are those of before a restore
  bool owes_reset_ = false;     // the guest is to be told that its connections are gone
  bool transmit_waits_ = false;
  Chain chain_;               // whose room is used again
  std::vector<iovec> parts_;  // the same
};

}  // namespace vmm::virtio::vsock
