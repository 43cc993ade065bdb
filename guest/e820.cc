#include "guest/e820.h"

#include <algorithm>
#include <string>

#include "guest/low_memory.h"

namespace guest {
namespace {

using uvm::Gpa;
using uvm::GpaRange;

GpaRange bounds(Gpa begin, Gpa end) {
  return GpaRange::from_bounds(begin, end).value_or(GpaRange());
}

/// `pieces` without `hole`.
void carve(std::vector<GpaRange>& pieces, GpaRange hole) {
  std::vector<GpaRange> rest;
  for (const GpaRange piece : pieces) {
    if (!piece.overlaps(hole)) {
      rest.push_back(piece);
      continue;
    }
    if (const auto below = piece.before(hole.begin()); !below.empty()) rest.push_back(below);
    if (const auto above = piece.from(hole.end()); !above.empty()) rest.push_back(above);
  }
  pieces = std::move(rest);
}

}  // namespace

std::string_view to_string(E820Type type) {
  switch (type) {
    case E820Type::Ram:
      return "usable";
    case E820Type::Reserved:
      return "reserved";
    case E820Type::AcpiReclaimable:
      return "ACPI data";
    case E820Type::AcpiNvs:
      return "ACPI NVS";
    case E820Type::Unusable:
      return "unusable";
  }
  return "unknown";
}

uvm::Result<MemoryLayout> MemoryLayout::create(std::uint64_t ram_bytes, GpaRange mmio_hole,
                                               std::uint64_t address_limit) {
  const std::string amount = "guest memory of " + std::to_string(ram_bytes) + " bytes";
  if (ram_bytes % uvm::kPageSize != 0) {
    return uvm::Error(uvm::ErrorKind::Invalid, amount + " is not a whole number of 4096-byte pages",
                      "give a multiple of 4K");
  }
  if (ram_bytes < low_memory::kEnd.value()) {
    return uvm::Error(uvm::ErrorKind::Invalid,
                      amount + " is less than the 1 MiB that the firmware area needs", "give at least 1M");
  }
  const std::uint64_t below = std::min(ram_bytes, mmio_hole.begin().value());
  const std::uint64_t above = ram_bytes - below;
  const auto high = GpaRange::from_size(mmio_hole.end(), above);
  if (!high || (above != 0 && high->end().value() > address_limit)) {
    return uvm::Error(uvm::ErrorKind::Invalid,
                      amount + " would pass the guest-physical address limit " + uvm::hex(address_limit),
                      "give at most " + uvm::hex(address_limit - mmio_hole.size()) + " bytes");
  }
  MemoryLayout layout;
  layout.ram.push_back(bounds(Gpa(0), Gpa(below)));
  if (above != 0) layout.ram.push_back(*high);
  return layout;
}

std::uint64_t MemoryLayout::ram_bytes() const {
  std::uint64_t sum = 0;
  for (const GpaRange range : ram) sum += range.size();
  return sum;
}

std::vector<GpaRange> MemoryLayout::usable() const {
  std::vector<GpaRange> pieces = ram;
  carve(pieces, bounds(low_memory::kUsableEnd, low_memory::kEnd));
  for (const E820Entry& entry : reserved) carve(pieces, entry.range);
  return pieces;
}

std::vector<E820Entry> MemoryLayout::e820() const {
  std::vector<E820Entry> map;
  for (const GpaRange range : usable()) map.push_back({range, E820Type::Ram});
  map.push_back({bounds(low_memory::kUsableEnd, low_memory::kVideoMemory), E820Type::Reserved});
  map.push_back({bounds(low_memory::kAcpi, low_memory::kEnd), E820Type::Reserved});
  for (const E820Entry& entry : reserved) {
    if (!entry.range.empty()) map.push_back(entry);
  }
  std::sort(map.begin(), map.end(),
            [](const E820Entry& a, const E820Entry& b) { return a.range.begin() < b.range.begin(); });
  return map;
}

}  // namespace guest
