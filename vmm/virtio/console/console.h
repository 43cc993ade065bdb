// A terminal for the guest (virtio 1.2, 5.3): hvc0 of Linux, one port with a queue each way.
//
// Output goes to a ByteSink (the machine's console), which takes what it has room for. While it has none, the
// chain that is being written stays taken, with how much of it is out, and the queue waits: a guest that
// writes faster than the host reads is held up in its own driver, as on a slow line, and no byte is lost. A
// machine that is copied meanwhile takes along how far it was. Input is what offer_input() is given, up to
// kInputBytes; more is refused until the guest has read some, and whoever typed it keeps it. Bytes that wait
// for the guest stay with the host when the machine is copied. The size of the terminal is in the device's
// configuration (VIRTIO_CONSOLE_F_SIZE), and a change of it is told.
//
// A guest that never stops writing has no more of the thread at a time than a queue's worth of chains, so
// that its input, and an order to stand still, come in between.
//
// What it leaves out: several ports (VIRTIO_CONSOLE_F_MULTIPORT), and emergency writes: what a kernel says
// before it has its driver goes to the serial port (earlyprintk), if anywhere.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "uvm/base/lock.h"
#include "vmm/devices/byte_queue.h"
#include "vmm/devices/interfaces.h"
#include "vmm/virtio/local_device.h"

namespace vmm::virtio::console {

inline constexpr std::uint64_t kFeatureSize = std::uint64_t{1} << 0;

struct Size {
  std::uint16_t columns = 0;  // 0: not known
  std::uint16_t rows = 0;

  friend bool operator==(const Size&, const Size&) = default;
};

class Console final : public Service {
 public:
  static constexpr std::size_t kInputBytes = 4096;

  /// The sink outlives it.
  Console(uvm::Space& space, devices::ByteSink& sink) : space_(space), sink_(sink) {}

  /// Before the device is attached. Called on the device's thread, without a lock, once after each
  /// offer_input() that took less than it was given, when at least half of the room is free.
  void set_on_input_space(std::function<void()> callback) { on_input_space_ = std::move(callback); }

  // Any thread, from attach() on and until the device is finished.
  /// Takes a prefix of `bytes`, returns its length.
  [[nodiscard]] std::size_t offer_input(std::span<const std::byte> bytes);
  /// The sink has room again.
  void sink_ready();
  void set_size(Size size);
  /// Returns when everything that the guest has written is with the sink, or the sink is full: whether the
  /// former. Not from the device's thread.
  [[nodiscard]] bool flush();

  [[nodiscard]] DeviceType type() const override { return DeviceType::Console; }
  [[nodiscard]] std::uint64_t features() const override { return kFeatureSize; }
  [[nodiscard]] unsigned queues() const override { return 2; }
  void read_config(std::uint64_t offset, std::span<std::byte> data) const override;
  [[nodiscard]] uvm::Status attach(const Thread& thread) override;
  void started(QueueSet& queues) override;
  [[nodiscard]] uvm::Status serve(SplitQueue& queue) override;
  void drain(std::function<void()> done) override;
  void forget() override { written_ = 0; }
  void state(devices::StateFields& fields) override;

 private:
  enum class Out : std::uint8_t { All, Stalled };

  /// Writes chains until there is none, or the sink is full.
  [[nodiscard]] uvm::Result<Out> transmit();
  [[nodiscard]] uvm::Result<Out> write(const Chain& chain);
  [[nodiscard]] uvm::Status receive();
  [[nodiscard]] uvm::Result<std::uint32_t> fill(const Chain& chain);
  /// On the thread: what is to be done for a queue, if the device runs; a broken ring waits for its next
  /// kick.
  void again(SplitQueue* Console::*queue);

  uvm::Space& space_;
  devices::ByteSink& sink_;
  std::function<void()> on_input_space_;
  boost::asio::io_context* io_ = nullptr;
  std::function<void()> config_changed_;

  // The thread's.
  SplitQueue* in_ = nullptr;   // null: not there, or at rest
  SplitQueue* out_ = nullptr;  // the same
  Chain in_chain_;
  Chain out_chain_;
  bool has_chain_ = false;     // out_chain_ is taken, and not written to its end
  std::uint64_t written_ = 0;  // bytes of the first chain that are out already
  bool goes_on_ = false;       // transmit() has asked to be called again
  std::vector<std::byte> bytes_;

  mutable uvm::Mutex mutex_{uvm::LockRank::Leaf};
  devices::ByteQueue input_ GUARDED_BY(mutex_){kInputBytes};
  bool input_refused_ GUARDED_BY(mutex_) = false;
  Size size_ GUARDED_BY(mutex_);
};

}  // namespace vmm::virtio::console
