// A virtio device whose queues a back end serves: the front end's half.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "uvm/pin_owner.h"
#include "vmm/vhost_user/back_end.h"
#include "vmm/vhost_user/failed_queues.h"
#include "vmm/vhost_user/options.h"
#include "vmm/virtio/device.h"

namespace vmm::vhost_user {

/// One device and its thread, which alone talks to the back end once the guest runs: it starts and stops the
/// queues when the driver does, and sees the back end go.
class Device final : public virtio::Device {
 public:
  struct Environment {
    uvm::Space& space;  // outlives it
    std::vector<uvm::GpaRange> ram;
    unsigned vcpus = 1;
  };

  /// Connects to the back end and asks what it is. `name` is the owner of its pins ("vhost-user-blk0").
  /// Errors: as BackEnd's, with name and socket.
  [[nodiscard]] static uvm::Result<std::unique_ptr<Device>> create(const std::string& name,
                                                                   const Options& options,
                                                                   const Environment& environment);
  ~Device() override;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  [[nodiscard]] virtio::DeviceType type() const override;
  [[nodiscard]] std::uint64_t features() const override { return features_; }
  [[nodiscard]] unsigned queues() const override { return queues_; }
  [[nodiscard]] std::uint16_t queue_limit() const override { return kQueueLimit; }
  void read_config(std::uint64_t offset, std::span<std::byte> data) const override;
  [[nodiscard]] uvm::Status attach(virtio::DeviceHost& host) override;
  void start(const virtio::Activation& activation) override;
  void stop() override;
  void finish() override;

 private:
  static constexpr std::uint16_t kQueueLimit = 256;
  struct Order {
    enum class Verb : std::uint8_t { Start, Stop, Finish } verb = Verb::Stop;
    virtio::Activation activation;  // of Start
  };

  Device(const std::string& name, const Options& options, const Environment& environment, BackEnd back_end);
  [[nodiscard]] uvm::Status set_up();
  [[nodiscard]] uvm::Status set_up_block();
  void set_up_file_system();
  void order(Order order);
  [[nodiscard]] std::optional<Order> next_order();

  // The thread.
  void loop();
  void carry_out(const Order& order);
  void start_now(const virtio::Activation& activation);
  /// Memory is pinned already.
  [[nodiscard]] uvm::Status hand_over(const virtio::Activation& activation);
  [[nodiscard]] uvm::Status take_back();
  /// The back end is of no more use. Where it has hung up it touches nothing any more, and its requests get
  /// their errors from here on.
  void lose(const uvm::Error& error);
  /// What the driver has started gets errors for answers.
  void answer_with_errors();
  void serve_failed(std::size_t queue);

  const Options options_;
  const Environment environment_;
  const std::shared_ptr<uvm::PinOwner> owner_;
  std::uint64_t features_ = 0;
  unsigned queues_ = 1;
  std::vector<std::byte> config_;
  virtio::DeviceHost* host_ = nullptr;
  Fd wake_;

  uvm::Mutex mutex_{uvm::LockRank::Leaf};
  std::deque<Order> orders_ GUARDED_BY(mutex_);

  // The thread's, once it runs.
  std::optional<BackEnd> back_end_;               // none: it has gone
  std::optional<MemoryTable> memory_;             // while the queues are the back end's
  std::optional<virtio::Activation> activation_;  // the driver has started it, and not stopped it yet
  std::vector<unsigned> started_;                 // queues
  bool hung_up_ = false;                          // the back end that has gone
  std::optional<FailedQueues> failed_;            // since then
  bool finishing_ = false;
  std::thread thread_;
};

}  // namespace vmm::vhost_user
