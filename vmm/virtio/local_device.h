// A virtio device that this process serves, on a thread of its own.
//
// What is common to all of them is here: the thread and its io_context, orders of the transport that reach
// it, notifications that wake it, coming to rest so that the machine can be copied, and what to do with a
// ring that is broken. A device of a kind (blk, net, rng, …) says in its Service what it does with a queue.
//
//   transport's lock            the device's thread
//   start(activation)  ------>  rings are pinned, Service::started(), Service::serve() of each queue
//   a kick             ------>  Service::serve(queue)
//   stop(), rest()     ------>  Service::drain(done) … done(): rings are let go; DeviceHost::stopped()
//   go_on()            ------>  as start(), from where the queues were
//
// At rest a device is data: what the driver and it have agreed on, how far its queues are, and the Service's
// own fields. That is what is saved, and what a restored one starts from.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "vmm/devices/state.h"
#include "vmm/virtio/device.h"
#include "vmm/virtio/fd_watch.h"
#include "vmm/virtio/split_queue.h"

namespace vmm::virtio {

/// The queues of a device that runs, by their number. Only those that the driver has enabled exist.
class QueueSet {
 public:
  /// Null: the driver has not enabled it, or the device does not run.
  [[nodiscard]] SplitQueue* find(unsigned index);
  [[nodiscard]] std::uint64_t features() const { return features_; }

 private:
  friend class LocalDevice;
  std::uint64_t features_ = 0;
  std::vector<SplitQueue> queues_;
};

/// What one kind of device does. Everything but the functions that say what it is runs on the device's
/// thread.
class Service {
 public:
  virtual ~Service() = default;

  // What it is, which never changes.
  [[nodiscard]] virtual DeviceType type() const = 0;
  /// Without those of LocalDevice: VERSION_1, indirect descriptors, event index.
  [[nodiscard]] virtual std::uint64_t features() const = 0;
  [[nodiscard]] virtual unsigned queues() const = 0;
  [[nodiscard]] virtual std::uint16_t queue_limit() const { return 256; }

  /// Registers of its own; any thread, with the transport's lock held: takes inner locks only. Any offset and
  /// size, zeros behind the end.
  virtual void read_config(std::uint64_t offset, std::span<std::byte> data) const = 0;
  virtual void write_config(std::uint64_t /*offset*/, std::span<const std::byte> /*data*/) {}

  /// Before anything else, once. The context is the thread's; both outlive the service's work.
  struct Thread {
    boost::asio::io_context& io;
    /// The driver is to look at the device's registers again. Any thread, without a lock.
    std::function<void()> config_changed;
  };
  [[nodiscard]] virtual uvm::Status attach(const Thread& thread) = 0;

  /// The queues are there, until drain() has been answered. Each is served once by itself after this.
  virtual void started(QueueSet& queues) = 0;
  /// There may be chains in the queue, or room for answers. Errors: the ring's; the device needs a reset
  /// then.
  [[nodiscard]] virtual uvm::Status serve(SplitQueue& queue) = 0;
  /// Take no more chains, finish those that were taken or unpop() them, then call `done`, which may be at
  /// once. Chains that wait for something from outside (a frame, random bytes nobody asked for) are not
  /// finished but never taken: see SplitQueue::unpop().
  virtual void drain(std::function<void()> done) = 0;
  /// A reset by the driver: nothing of what it has said counts any more. After drain().
  virtual void forget() {}

  /// Fields of its own, while it is at rest.
  virtual void state(devices::StateFields& /*fields*/) {}
  /// Whether a machine with it can be copied. Errors: Unsupported, with the way out. Any thread.
  [[nodiscard]] virtual uvm::Status can_be_copied() const { return uvm::ok(); }
};

/// Thread-safe as virtio::Device says.
class LocalDevice final : public Device, public Resting {
 public:
  using Surroundings = SplitQueue::Surroundings;

  /// `name` is the thread's, the log's and the owner's of its pins ("rng0"); at most 15 characters.
  LocalDevice(std::string name, Surroundings around, std::unique_ptr<Service> service);
  ~LocalDevice() override;
  LocalDevice(const LocalDevice&) = delete;
  LocalDevice& operator=(const LocalDevice&) = delete;

  [[nodiscard]] DeviceType type() const override { return service_->type(); }
  [[nodiscard]] std::uint64_t features() const override;
  [[nodiscard]] unsigned queues() const override { return service_->queues(); }
  [[nodiscard]] std::uint16_t queue_limit() const override { return service_->queue_limit(); }
  void read_config(std::uint64_t offset, std::span<std::byte> data) const override;
  void write_config(std::uint64_t offset, std::span<const std::byte> data) override;
  [[nodiscard]] uvm::Status attach(DeviceHost& host) override;
  void start(const Activation& activation) override;
  void stop() override;
  void finish() override;
  [[nodiscard]] Resting* resting() override { return this; }

  [[nodiscard]] uvm::Status can_rest() const override { return service_->can_be_copied(); }
  void rest() override;
  void go_on() override;
  void state(devices::StateFields& fields) override;
  void place(std::optional<Activation> activation) override;

  /// How often a queue was looked at for work. Any thread.
  [[nodiscard]] std::uint64_t served() const { return served_.load(std::memory_order_relaxed); }

  /// Runs `work` on the device's thread while it is at rest, and goes on. Any thread but that one. Errors:
  /// Busy (somebody else has brought it to rest, and copies it).
  [[nodiscard]] uvm::Status work_at_rest(const std::function<void()>& work);
  /// Runs `work` on the device's thread, at some time.
  void post(std::function<void()> work);

 private:
  // The thread.
  void begin();
  void drain(std::function<void()> then);
  void let_go();
  /// Serves a queue each time its driver notifies it.
  void hear(FdWatch& kick, SplitQueue& queue);
  void serve(SplitQueue& queue);
  void fail(const uvm::Error& error);

  const std::string name_;
  const Surroundings around_;
  boost::asio::io_context io_{1};
  const std::unique_ptr<Service> service_;
  DeviceHost* host_ = nullptr;

  // The thread's; while it is at rest, whoever has brought it there.
  std::optional<Activation> activation_;            // nothing: the driver has not started it
  std::vector<QueuePosition> positions_;            // of activation_'s queues
  QueueSet queues_;                                 // empty: at rest, broken, or not started
  std::vector<FdWatch> kicks_;                      // of queues_, in their order
  std::vector<std::function<void()>> after_drain_;  // not empty: the service drains
  bool broken_ = false;
  unsigned rests_ = 0;
  std::atomic<std::uint64_t> served_{0};

  std::thread thread_;
};

}  // namespace vmm::virtio
