#include "vmm/machine/bus.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "uvm/base/range.h"
#include "uvm/base/units.h"
#include "vmm/devices/registers.h"

namespace vmm {

namespace {

constexpr std::uint64_t kPortLimit = 0x1'0000;

std::uint64_t limit_of(BusSpace space) {
  return space == BusSpace::Io ? kPortLimit : uvm::kAddressLimit;
}

std::string describe(std::string_view name, std::uint64_t begin, std::uint64_t end) {
  return "'" + std::string(name) + "' at " + uvm::hex(begin) + "+" + uvm::hex(end - begin);
}

/// Whether a device may see it in one piece.
bool is_natural(std::size_t size) {
  return size <= 8 && std::has_single_bit(size);
}

}  // namespace

uvm::Status Bus::add(BusSpace space, std::string name, std::uint64_t begin, std::uint64_t bytes,
                     BusDevice& device, std::uint64_t first_offset) {
  const std::string_view kind = space == BusSpace::Io ? "port" : "MMIO";
  const std::uint64_t end = begin + bytes;
  const std::string claim = std::string(kind) + " range " + describe(name, begin, end);
  if (sealed_) {
    return uvm::Error(uvm::ErrorKind::Invalid, claim + ": the bus is sealed", "register before seal()");
  }
  if (bytes == 0 || end < begin || end > limit_of(space)) {
    return uvm::Error(uvm::ErrorKind::Invalid,
                      claim + " is empty or passes the end of its space, " + uvm::hex(limit_of(space)));
  }
  std::vector<Entry>& entries = table(space).entries;
  for (const Entry& other : entries) {
    if (begin < other.end && other.begin < end) {
      return uvm::Error(uvm::ErrorKind::Invalid,
                        claim + " overlaps " + describe(other.name, other.begin, other.end),
                        "move one of them");
    }
  }
  entries.push_back(Entry{begin, end, first_offset, &device, std::move(name)});
  return uvm::ok();
}

void Bus::seal() {
  for (Table& table : tables_) std::ranges::sort(table.entries, {}, &Entry::begin);
  sealed_ = true;
}

const Bus::Entry* Bus::find(Table& table, std::uint64_t address) const {
  if (!sealed_ || table.entries.empty()) return nullptr;
  // A guest talks to one device for a while. Written only on a change, so that vCPUs that agree share the
  // line.
  const std::size_t guess = table.last_hit.load(std::memory_order_relaxed);
  const Entry& last = table.entries[guess];
  if (last.begin <= address && address < last.end) return &last;
  const auto after = std::ranges::upper_bound(table.entries, address, {}, &Entry::begin);
  if (after == table.entries.begin()) return nullptr;
  const auto found = std::prev(after);
  if (address >= found->end) return nullptr;
  table.last_hit.store(static_cast<std::size_t>(found - table.entries.begin()), std::memory_order_relaxed);
  return &*found;
}

void Bus::read(BusSpace space, std::uint64_t address, std::span<std::byte> data) {
  const Entry* entry = find(table(space), address);
  if (entry != nullptr && is_natural(data.size()) && data.size() <= entry->end - address) {
    entry->device->read(address - entry->begin + entry->first_offset, data);
    return;
  }
  devices::fill_ones(data);
  bool all_owned = true;
  for (std::size_t i = 0; i < data.size(); ++i) {
    // An address that wraps round is past the end of every space: nobody's.
    const std::uint64_t place = address + i;
    entry = place < address ? nullptr : find(table(space), place);
    if (entry == nullptr) {
      all_owned = false;
      continue;
    }
    entry->device->read(place - entry->begin + entry->first_offset, data.subspan(i, 1));
  }
  if (!all_owned) report(space, BusAccess::Read, address, data);
}

void Bus::write(BusSpace space, std::uint64_t address, std::span<const std::byte> data) {
  const Entry* entry = find(table(space), address);
  if (entry != nullptr && is_natural(data.size()) && data.size() <= entry->end - address) {
    entry->device->write(address - entry->begin + entry->first_offset, data);
    return;
  }
  bool all_owned = true;
  for (std::size_t i = 0; i < data.size(); ++i) {
    const std::uint64_t place = address + i;
    entry = place < address ? nullptr : find(table(space), place);
    if (entry == nullptr) {
      all_owned = false;
      continue;
    }
    entry->device->write(place - entry->begin + entry->first_offset, data.subspan(i, 1));
  }
  if (!all_owned) report(space, BusAccess::Write, address, data);
}

void Bus::report(BusSpace space, BusAccess access, std::uint64_t address, std::span<const std::byte> data) {
  std::atomic<std::uint64_t>& counter = table(space).unowned[static_cast<std::size_t>(access)];
  const std::uint64_t count = counter.fetch_add(1, std::memory_order_relaxed) + 1;
  if (!observer_ || !std::has_single_bit(count)) return;
  observer_(UnownedAccess{.space = space,
                          .access = access,
                          .address = address,
                          .size = data.size(),
                          .value = access == BusAccess::Write ? devices::load_le(data) : 0,
                          .count = count});
}

std::uint64_t Bus::unowned(BusSpace space, BusAccess access) const {
  return table(space).unowned[static_cast<std::size_t>(access)].load(std::memory_order_relaxed);
}

}  // namespace vmm
