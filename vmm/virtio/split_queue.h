// The device's side of a split ring (virtio 1.2, 2.7).
//
// Everything in the rings is the driver's word, which may be wrong and may change while it is read: each
// field is read once and checked then. A descriptor that points past its table, out of RAM, or back into the
// chain, a part to be read behind one to be written, a chain that is longer than its table, an indirect table
// within an indirect table: each breaks the ring, for good, and the driver is told that the device needs a
// reset. A chain without a byte is one like others.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/pin.h"
#include "uvm/space.h"
#include "vmm/virtio/chain.h"
#include "vmm/virtio/device.h"

namespace vmm::virtio {

/// How far both sides have come; counted modulo 2^16 and never taken modulo the ring's size.
struct QueuePosition {
  std::uint16_t taken = 0;     // chains taken from the ring of what is available
  std::uint16_t returned = 0;  // chains put into the ring of what is used

  friend bool operator==(const QueuePosition&, const QueuePosition&) = default;
};

/// Both rings as they lie in memory, each entry at its position modulo the size.
struct RingContents {
  std::uint16_t available = 0;                 // the driver's index: chains made available ever, modulo 2^16
  std::uint16_t used = 0;                      // the device's index
  std::vector<std::uint16_t> available_heads;  // as many as the ring has entries
  std::vector<std::uint16_t> used_heads;       // as many
};

/// Holds the pages of its three rings pinned as long as it lives. Not thread-safe: the device's thread.
class SplitQueue {
 public:
  struct Surroundings {
    uvm::Space& space;  // outlives it
    std::shared_ptr<uvm::PinOwner> owner;
    /// Whether all of [gpa, gpa + bytes) is RAM.
    std::function<bool(std::uint64_t gpa, std::uint64_t bytes)> is_ram;
  };

  /// `queue` as a transport gives it; its eventfds outlive this. Errors: those of Pin::create().
  [[nodiscard]] static uvm::Result<SplitQueue> create(const Surroundings& around, const Queue& queue,
                                                      std::uint64_t features, QueuePosition position = {});

  /// The next chain, into `chain`, whose room is used again; false: there is none. Errors: Invalid (the ring
  /// is broken, how, and where); then and after.
  [[nodiscard]] uvm::Result<bool> pop(Chain& chain);
  /// Puts the chain popped last back to where it was, as if never taken.
  void unpop() { --position_.taken; }
  /// Gives a chain back, in any order, with the number of bytes written from the begin of its writable parts.
  /// The driver sees it at the next publish().
  void push(std::uint16_t head, std::uint32_t written);
  /// Shows the driver what was pushed, and interrupts it if it wants that. Costs nothing when nothing was.
  void publish();

  // For who takes a queue over from a device that is gone.
  /// What driver and that device have written.
  [[nodiscard]] RingContents contents() const;
  /// A chain that the other one has popped. Errors: as pop()'s.
  [[nodiscard]] uvm::Status look_at(std::uint16_t head, Chain& chain);

  /// Asks the driver for no notifications while the device is looking anyway.
  void hush();
  /// Asks for one with the next chain. True: one has come meanwhile, so look again.
  [[nodiscard]] bool listen();
  /// Pops chains into `chain` and calls `serve(chain)`, which answers with a Status, until there is none and
  /// the driver notifies of the next. Errors: pop()'s and serve's.
  template <class F>
  [[nodiscard]] uvm::Status each(Chain& chain, F&& serve) {
    do {
      hush();
      for (;;) {
        UVMM_TRY(const bool is_there, pop(chain));
        if (!is_there) break;
        UVMM_CHECK(serve(chain));
      }
    } while (listen());
    return uvm::ok();
  }
  /// Has the device serve it once more, in a turn of its own. An error of the ring is the same there, and
  /// goes from there to where it belongs.
  void serve_again() const;

  [[nodiscard]] unsigned index() const { return queue_.index; }
  [[nodiscard]] std::uint16_t size() const { return queue_.size; }
  /// Of the driver's notifications.
  [[nodiscard]] const Fd& kick() const { return *queue_.kick; }
  /// Chains that were popped and not pushed.
  [[nodiscard]] std::uint16_t outstanding() const {
    return static_cast<std::uint16_t>(position_.taken - position_.returned);
  }
  [[nodiscard]] QueuePosition position() const { return position_; }

 private:
  struct Descriptor;
  /// Descriptors of the ring, or those of an indirect table.
  struct Table;

  SplitQueue(const Surroundings& around, const Queue& queue, std::uint64_t features, QueuePosition position)
      : around_(around),
        queue_(queue),
        features_(features),
        position_(position),
        published_(position.returned) {}
  [[nodiscard]] uvm::Status map();
  [[nodiscard]] uvm::Status walk(std::uint16_t head, Chain& chain);
  [[nodiscard]] uvm::Status follow(const Table& table, std::uint16_t first, Chain& chain);
  [[nodiscard]] uvm::Status follow_indirect(const Descriptor& descriptor, Chain& chain);
  [[nodiscard]] uvm::Status add(const Descriptor& descriptor, Chain& chain) const;
  [[nodiscard]] uvm::Error broken(const std::string& how) const;
  [[nodiscard]] bool has(std::uint64_t feature) const { return (features_ & feature) != 0; }
  [[nodiscard]] bool wants_interrupt(std::uint16_t before) const;

  Surroundings around_;
  Queue queue_;
  std::uint64_t features_;
  QueuePosition position_;
  std::uint16_t published_;  // of position_.returned, what the driver sees
  bool broken_ = false;

  std::optional<uvm::Pin> pin_;
  std::byte* descriptors_ = nullptr;
  std::byte* available_ = nullptr;
  std::byte* used_ = nullptr;
  std::vector<std::byte> indirect_;  // the table that is followed
};

}  // namespace vmm::virtio
