// The two address spaces through which a guest reaches devices, and who answers where.
//
// Build-up: the machine registers ranges, and an overlap is refused with both names. seal() sorts and ends
// it. From then on the tables are read-only, so dispatch takes no lock and any number of vCPU threads do it
// at once.
//
// Nothing a guest does here is an error. An access nobody owns reads as all ones and writes nothing, like the
// open bus of a PC; it is counted, and the observer hears of the 1st, 2nd, 4th, 8th ... so that a guest in a
// loop cannot fill a log.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/devices/interfaces.h"

namespace vmm {

using devices::BusDevice;

enum class BusSpace { Io, Mmio };
enum class BusAccess { Read, Write };

/// An access to a place nobody owns, or the owner's part of one that straddles its end.
struct UnownedAccess {
  BusSpace space = BusSpace::Io;
  BusAccess access = BusAccess::Read;
  std::uint64_t address = 0;  // port number or GPA
  std::size_t size = 0;       // bytes
  std::uint64_t value = 0;    // what was written, little-endian; 0 for a read
  std::uint64_t count = 0;    // accesses of this kind in this space so far, this one included
};

class Bus {
 public:
  /// Called on vCPU threads, several at a time, without a lock held.
  using Observer = std::function<void(const UnownedAccess&)>;

  Bus() = default;
  Bus(const Bus&) = delete;
  Bus& operator=(const Bus&) = delete;

  /// `name` claims [begin, begin + bytes) of `space`; `device` sees `address - begin + first_offset`, so that
  /// a device with ports in two places can tell them apart. The device must outlive the bus. Invalid: empty
  /// range, one past the end of the space (0x10000 ports, 2^52 GPA), overlap, sealed already.
  uvm::Status add(BusSpace space, std::string name, std::uint64_t begin, std::uint64_t bytes,
                  BusDevice& device, std::uint64_t first_offset = 0);
  /// Before seal().
  void set_observer(Observer observer) { observer_ = std::move(observer); }
  /// Ends build-up. Before it, nothing is dispatched: every access is unowned.
  void seal();

  /// Any size; thread-safe after seal(). Devices see 1, 2, 4 or 8 bytes, see devices.h.
  void read(BusSpace space, std::uint64_t address, std::span<std::byte> data);
  void write(BusSpace space, std::uint64_t address, std::span<const std::byte> data);

  /// One claimed range, for listings; sorted after seal().
  struct Entry {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t first_offset = 0;
    BusDevice* device = nullptr;
    std::string name;
  };
  [[nodiscard]] std::span<const Entry> entries(BusSpace space) const { return table(space).entries; }
  [[nodiscard]] std::uint64_t unowned(BusSpace space, BusAccess access) const;

 private:
  struct Table {
    std::vector<Entry> entries;
    std::atomic<std::size_t> last_hit{0};
    std::array<std::atomic<std::uint64_t>, 2> unowned{};  // by BusAccess
  };

  [[nodiscard]] Table& table(BusSpace space) { return tables_[static_cast<std::size_t>(space)]; }
  [[nodiscard]] const Table& table(BusSpace space) const { return tables_[static_cast<std::size_t>(space)]; }
  /// The entry that holds `address`, or null.
  const Entry* find(Table& table, std::uint64_t address) const;
  void report(BusSpace space, BusAccess access, std::uint64_t address, std::span<const std::byte> data);

  std::array<Table, 2> tables_;
  Observer observer_;
  bool sealed_ = false;
};

}  // namespace vmm
