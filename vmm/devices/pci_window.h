// The range of guest-physical addresses, or of ports, in which BARs of PCI functions answer.
//
// To the machine's bus it is one device, whose range never changes; which function answers where inside it
// does change, whenever a guest moves a BAR or turns memory decoding on or off. So the bus stays sealed and
// without locks, and the table that moves is here. A BAR that a guest puts outside the window answers
// nowhere: RAM has a slot there and devices have their place, and neither may be hidden by a register that
// any guest can write. Two BARs at one place: the one that came first answers, as long as it stays.
//
// An access that is on its way when its BAR moves still reaches the function, as one on a real bus may.
// Inside the window but in nobody's BAR reads give ones and writes are lost.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "vmm/devices/interfaces.h"

namespace vmm::devices {

/// Thread-safe; place() and remove() may be called with a device's lock held.
class PciWindow final : public BusDevice {
 public:
  /// What a place is a multiple of, whatever the BAR: of memory whole pages, so that no two functions share
  /// one.
  enum class Grain : std::uint64_t { Page = 4096, Port = 4 };

  /// [begin, begin + bytes) of guest-physical space or of the ports, which is where it has to be registered.
  PciWindow(std::uint64_t begin, std::uint64_t bytes, Grain grain = Grain::Page)
      : begin_(begin), end_(begin + bytes), grain_(static_cast<std::uint64_t>(grain)) {}

  /// A place of `bytes` (a power of two) that nobody has been given, aligned to its size: what firmware would
  /// choose. Errors: NoMemory (the window is full).
  [[nodiscard]] uvm::Result<std::uint64_t> allocate(std::uint64_t bytes);

  /// From now on `device`, which outlives the guest, answers at [gpa, gpa + bytes). False: not in the window.
  bool place(std::uint64_t gpa, std::uint64_t bytes, BusDevice& device);
  /// No longer. Harmless for what was not placed.
  void remove(std::uint64_t gpa, const BusDevice& device);

  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;

 private:
  struct Place {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    BusDevice* device = nullptr;
  };
  /// The place that holds the whole access; its device is null when there is none.
  [[nodiscard]] Place find(std::uint64_t gpa, std::size_t bytes) const;

  const std::uint64_t begin_;
  const std::uint64_t end_;
  const std::uint64_t grain_;
  mutable uvm::SharedMutex mutex_{uvm::LockRank::Leaf};
  std::vector<Place> places_ GUARDED_BY(mutex_);
  std::uint64_t allocated_ GUARDED_BY(mutex_) = begin_;
};

}  // namespace vmm::devices
