// Where a guest's RAM lies, and the firmware memory map ("e820") that tells it so.
//
// RAM is a run from 0 up to the MMIO hole, and the rest from 4 GiB on. The PC's own hole between 640K and 1M
// is backed by RAM too (the ACPI tables live there) but never offered: the map shows it as reserved.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/range.h"

namespace guest {

/// The numbers of the firmware call INT 15h, AX=E820h (ACPI 6.3, 15.1), shared by boot_params, PVH and
/// multiboot.
enum class E820Type : std::uint32_t { Ram = 1, Reserved = 2, AcpiReclaimable = 3, AcpiNvs = 4, Unusable = 5 };
[[nodiscard]] std::string_view to_string(E820Type type);

struct E820Entry {
  uvm::GpaRange range;
  E820Type type = E820Type::Ram;

  friend bool operator==(const E820Entry&, const E820Entry&) = default;
};

struct MemoryLayout {
  /// Where guest memory exists: ascending, disjoint, page-aligned.
  std::vector<uvm::GpaRange> ram;
  /// What the guest must keep off besides, with its type: ECAM, later persistent memory.
  std::vector<E820Entry> reserved;

  /// `ram_bytes` laid out around `mmio_hole` (whose end is where the rest goes on). Errors: not whole pages,
  /// less than 1 MiB, or past `address_limit` (the guest-physical width, 2^width bytes).
  [[nodiscard]] static uvm::Result<MemoryLayout> create(std::uint64_t ram_bytes, uvm::GpaRange mmio_hole,
                                                        std::uint64_t address_limit = uvm::kAddressLimit);

  [[nodiscard]] std::uint64_t ram_bytes() const;

  /// Ascending and disjoint: usable RAM without the PC hole and without `reserved`, and the reserved ranges.
  [[nodiscard]] std::vector<E820Entry> e820() const;

  /// The Ram entries of e820(): all that a kernel or initrd may be put into.
  [[nodiscard]] std::vector<uvm::GpaRange> usable() const;
};

}  // namespace guest
