// Memory that the guest gives back (virtio 1.2, 5.5): the balloon that an operator inflates, pages that are
// free for the time being, and what the guest tells of its memory.
//
// What happens to a page
//   Inflating, the driver takes pages from its own kernel and tells their numbers; reporting, it tells of
//   blocks that nobody uses (2 MiB and more, of Linux). Both come to Space::discard(): private pages are
//   freed, the pages of RAM that is one object become a hole, a copy's private pages go and its parent's stay
//   as they are. What the guest reads there afterwards is zeros or, in a copy, what was there when it was
//   made; so the device offers no VIRTIO_BALLOON_F_PAGE_POISON, and a driver that needs more than "anything
//   of mine" does not report. Deflating needs nothing of the host: the page comes with its next touch. A page
//   that is pinned (a device of the host has it, --vfio), that a debugger is looking at, or that is no RAM
//   stays as it is. That is counted, and no error for the guest, which cannot know.
//
// Queues (5.5.2) have fixed numbers in the specification: 2 statistics, 4 reporting. Linux leaves none out
// when it counts them: without VIRTIO_BALLOON_F_FREE_PAGE_HINT, which is never offered here, its reporting
// queue is the one behind the last. Both are understood.
//
// Statistics. The driver gives one buffer with values, which stays here until new ones are wanted, and comes
// back with them. Every `statistics_seconds` they are asked for; without an interval the queue is not
// offered.
//
// Invariants
//   - The target is a wish: the driver comes as close as it can, in its own time, and writes how far it is.
//     Nobody waits for it.
//   - A chain is answered when its pages are given back, so a driver that waits for the answer knows.
//   - At rest no buffer is held: the one with statistics has never been taken.
// It refuses nothing a driver says: numbers that are no RAM's, twice the same, or more than there are, are
// pages that stay as they are.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "uvm/base/lock.h"
#include "vmm/virtio/balloon/options.h"
#include "vmm/virtio/balloon/statistics.h"
#include "vmm/virtio/local_device.h"

namespace vmm::virtio::balloon {

/// Bytes, of this machine since it began or was made from an image.
struct Statistics {
  std::uint64_t target = 0;      // that the guest is to give back
  std::uint64_t actual = 0;      // that it says it has given
  std::uint64_t given_back = 0;  // by inflating and reporting, again and again
  std::uint64_t kept = 0;        // of what was told: pages that could not go
  GuestStatistics guest;

  friend bool operator==(const Statistics&, const Statistics&) = default;
};

inline constexpr std::uint64_t kFeatureStatistics = std::uint64_t{1} << 1;
inline constexpr std::uint64_t kFeatureDeflateOnOom = std::uint64_t{1} << 2;
inline constexpr std::uint64_t kFeatureReporting = std::uint64_t{1} << 5;

class Balloon final : public Service {
 public:
  /// `memory`: bytes of guest RAM, the most a target can be.
  Balloon(uvm::Space& space, const Options& options, std::uint64_t memory);

  /// How many bytes the guest is to give back from now on, rounded down to pages of 4 KiB. Any thread,
  /// without locks that a transport's comes before. Errors: Invalid (more than there are).
  [[nodiscard]] uvm::Status set_target(std::uint64_t bytes);
  /// Seconds between two reports from the next one on. Any thread. Errors: Invalid (reports were not asked
  /// for when the machine was made, or are not to be asked for any more).
  [[nodiscard]] uvm::Status set_interval(std::uint32_t seconds);
  /// Any thread.
  [[nodiscard]] Statistics statistics() const;
  [[nodiscard]] std::uint32_t interval() const { return interval_; }

  [[nodiscard]] DeviceType type() const override { return DeviceType::Balloon; }
  [[nodiscard]] std::uint64_t features() const override;
  [[nodiscard]] unsigned queues() const override { return 5; }
  void read_config(std::uint64_t offset, std::span<std::byte> data) const override;
  void write_config(std::uint64_t offset, std::span<const std::byte> data) override;
  [[nodiscard]] uvm::Status attach(const Thread& thread) override;
  void started(QueueSet& queues) override;
  [[nodiscard]] uvm::Status serve(SplitQueue& queue) override;
  void drain(std::function<void()> done) override;
  void forget() override;
  void state(devices::StateFields& fields) override;

 private:
  enum class Role : std::uint8_t { Inflate, Deflate, Statistics, Reporting, None };

  [[nodiscard]] Role role_of(const SplitQueue& queue) const;
  /// The pages whose numbers the chain holds.
  [[nodiscard]] uvm::Status inflate(const Chain& chain);
  void give_back_pages(std::span<const std::byte> numbers);
  void report(const Chain& chain);
  void give_back(std::uint64_t gpa, std::uint64_t bytes);
  [[nodiscard]] uvm::Status take_statistics(SplitQueue& queue);
  [[nodiscard]] uvm::Status read_statistics(const Chain& chain);
  /// So that the driver fills it again.
  void give_buffer_back();
  void ask_later();

  uvm::Space& space_;
  const Options options_;
  const std::uint64_t memory_;
  std::function<void()> config_changed_;

  // The thread's.
  std::optional<boost::asio::steady_timer> timer_;
  unsigned reporting_queue_ = 0;
  std::uint64_t features_ = 0;     // agreed on
  SplitQueue* held_in_ = nullptr;  // the statistics queue, while its buffer is here
  std::uint16_t held_ = 0;         // that buffer
  Chain chain_;
  std::vector<std::byte> bytes_;
  std::vector<std::uint64_t> pages_;  // numbers

  std::atomic<std::uint32_t> interval_;  // seconds
  mutable uvm::Mutex mutex_{uvm::LockRank::Leaf};
  std::uint32_t target_ GUARDED_BY(mutex_);      // pages
  std::uint32_t actual_ GUARDED_BY(mutex_) = 0;  // pages
  Statistics counted_ GUARDED_BY(mutex_);        // but for target and actual
};

}  // namespace vmm::virtio::balloon
