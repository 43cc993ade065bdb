#include "vmm/debug/page_walk.h"

#include <array>
#include <span>
#include <string>

#include "uvm/base/range.h"

namespace vmm::debug {
namespace {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Gpa;
using uvm::Result;

constexpr std::uint64_t kCr0Paging = std::uint64_t{1} << 31;
constexpr std::uint64_t kCr4PageSizeExtensions = 1U << 4;
constexpr std::uint64_t kCr4Pae = 1U << 5;
constexpr std::uint64_t kCr4FiveLevel = 1U << 12;

constexpr std::uint64_t kPresent = 1U << 0;
constexpr std::uint64_t kWritable = 1U << 1;
constexpr std::uint64_t kUser = 1U << 2;
constexpr std::uint64_t kLarge = 1U << 7;
constexpr std::uint64_t kAddressMask = 0x000f'ffff'ffff'f000;

constexpr std::uint64_t low_bits(unsigned count) {
  return (std::uint64_t{1} << count) - 1;
}

/// One level of a walk: which address bits index it, and whether bit 7 of its entries makes a leaf.
struct Level {
  const char* name;
  unsigned shift;
  unsigned index_bits;
  bool may_be_leaf;
  bool has_rights;  // PAE's top entries carry none
};
constexpr std::array<Level, 5> kLongLevels{{
    {"PML5E", 48, 9, false, true},
    {"PML4E", 39, 9, false, true},
    {"PDPTE", 30, 9, true, true},
    {"PDE", 21, 9, true, true},
    {"PTE", 12, 9, false, true},
}};
constexpr std::array<Level, 3> kPaeLevels{{
    {"PDPTE", 30, 2, false, false},
    {"PDE", 21, 9, true, true},
    {"PTE", 12, 9, false, true},
}};
constexpr std::array<Level, 2> kLevels32{{{"PDE", 22, 10, true, true}, {"PTE", 12, 10, false, true}}};
constexpr std::array<Level, 2> kLevels32WithoutPse{
    {{"PDE", 22, 10, false, true}, {"PTE", 12, 10, false, true}}};

/// What differs between the formats.
struct Format {
  std::span<const Level> levels;
  std::uint64_t root;
  unsigned entry_bytes;
};

Format format_of(PagingMode mode, const PagingState& state) {
  const std::span<const Level> long_levels(kLongLevels);
  switch (mode) {
    case PagingMode::FiveLevel:
      return {long_levels, state.cr3 & kAddressMask, 8};
    case PagingMode::FourLevel:
      return {long_levels.subspan(1), state.cr3 & kAddressMask, 8};
    case PagingMode::Pae:
      return {kPaeLevels, state.cr3 & 0xffff'ffe0, 8};
    case PagingMode::Bits32:
    case PagingMode::None:
      break;
  }
  const bool large = (state.cr4 & kCr4PageSizeExtensions) != 0;
  return {large ? std::span<const Level>(kLevels32) : std::span<const Level>(kLevels32WithoutPse),
          state.cr3 & 0xffff'f000, 4};
}

bool is_canonical(std::uint64_t linear, unsigned bits) {
  const auto upper = static_cast<std::int64_t>(linear) >> (bits - 1);
  return upper == 0 || upper == -1;
}

std::uint64_t leaf_base(const Format& format, const Level& level, std::uint64_t entry) {
  std::uint64_t base = entry & kAddressMask;
  if (format.entry_bytes == 4) {
    base &= 0xffff'f000;
    // PSE-36: bits 20:13 of a 4M entry are bits 39:32 of the address.
    if (level.shift == 22) base = (entry & 0xffc0'0000) | (entry >> 13 & 0xff) << 32;
  }
  return base & ~low_bits(level.shift);
}

Result<std::uint64_t> read_entry(const Level& level, unsigned entry_bytes, std::uint64_t at,
                                 const ReadPhysical& read) {
  auto word = read(Gpa(at & ~std::uint64_t{7}));
  if (!word) {
    return std::move(word).error().with_context("the page walk's " + std::string(level.name) + " at gpa " +
                                                uvm::hex(at));
  }
  if (entry_bytes == 8) return *word;
  return (at & 4) != 0 ? *word >> 32 : *word & 0xffff'ffff;
}

Error not_present(PagingMode mode, std::uint64_t linear, const Level& level, std::uint64_t at,
                  std::uint64_t entry) {
  return {ErrorKind::NoMapping, "address " + uvm::hex(linear) + " is not mapped: its " + level.name +
                                    " at gpa " + uvm::hex(at) + " is " + uvm::hex(entry) + ", not present (" +
                                    std::string(to_string(mode)) + " paging)"};
}

Result<Translation> walk_levels(PagingMode mode, const Format& format, std::uint64_t linear,
                                const ReadPhysical& read) {
  Translation result;
  std::uint64_t table = format.root;
  for (const Level& level : format.levels) {
    const std::uint64_t index = linear >> level.shift & low_bits(level.index_bits);
    const std::uint64_t at = table + index * format.entry_bytes;
    UVMM_TRY(const std::uint64_t entry, read_entry(level, format.entry_bytes, at, read));
    if ((entry & kPresent) == 0) return not_present(mode, linear, level, at, entry);
    if (level.has_rights) {
      result.user = result.user && (entry & kUser) != 0;
      result.writable = result.writable && (entry & kWritable) != 0;
    }
    if (&level == &format.levels.back() || (level.may_be_leaf && (entry & kLarge) != 0)) {
      result.gpa = Gpa(leaf_base(format, level, entry) | (linear & low_bits(level.shift)));
      result.page_bytes = std::uint64_t{1} << level.shift;
      return result;
    }
    table = entry & kAddressMask & (format.entry_bytes == 4 ? 0xffff'f000 : ~std::uint64_t{0});
  }
  return Error(ErrorKind::Invalid, "page walk without a last level");
}

}  // namespace

PagingMode paging_mode(const PagingState& state) {
  if ((state.cr0 & kCr0Paging) == 0) return PagingMode::None;
  if ((state.cr4 & kCr4Pae) == 0) return PagingMode::Bits32;
  if ((state.efer & kEferLongModeActive) == 0) return PagingMode::Pae;
  return (state.cr4 & kCr4FiveLevel) != 0 ? PagingMode::FiveLevel : PagingMode::FourLevel;
}

std::string_view to_string(PagingMode mode) {
  switch (mode) {
    case PagingMode::None:
      return "no";
    case PagingMode::Bits32:
      return "32-bit";
    case PagingMode::Pae:
      return "PAE";
    case PagingMode::FourLevel:
      return "4-level";
    case PagingMode::FiveLevel:
      return "5-level";
  }
  return "?";
}

Result<Translation> walk(const PagingState& state, std::uint64_t linear, const ReadPhysical& read) {
  const PagingMode mode = paging_mode(state);
  const bool long_mode = mode == PagingMode::FourLevel || mode == PagingMode::FiveLevel;
  if (long_mode && !is_canonical(linear, mode == PagingMode::FiveLevel ? 57 : 48)) {
    return Error(ErrorKind::Invalid, "address " + uvm::hex(linear) + " is not canonical under " +
                                         std::string(to_string(mode)) + " paging");
  }
  // Outside of long mode a linear address has 32 bits; a debugger that speaks x86-64 may sign-extend it.
  if (!long_mode) linear &= 0xffff'ffff;
  if (mode == PagingMode::None) return Translation{Gpa(linear), uvm::kPageSize, false, true};
  return walk_levels(mode, format_of(mode, state), linear, read);
}

}  // namespace vmm::debug
