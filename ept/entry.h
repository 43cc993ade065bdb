// One 64-bit table entry, in the format of Intel's extended page tables (SDM vol. 3, 29.3.2).
//
//   bit  0..2   read, write, execute        bit 12..51  frame of a leaf, node of a non-leaf
//        3..5   memory type (leaf)              52..56  software: fill (52, 53), wired (54), framed (55)
//        6      ignore guest PAT                57..63  given a meaning by later processors: left alone
//        7      leaf above level 1
//        8, 9   accessed, dirty
//
// No processor walks these tables (the host's own do the work), so bits 12..51 need not be a physical
// address: a leaf holds a frame number as FrameCodec makes it, a non-leaf the host address of its node, which
// is page-aligned and below 2^47.
#pragma once

#include <cstdint>
#include <optional>

#include "uvm/base/units.h"
#include "uvm/pmap.h"
#include "uvm/protection.h"

namespace ept {

inline constexpr std::uint64_t kEntryRead = 1u << 0;
inline constexpr std::uint64_t kEntryWrite = 1u << 1;
inline constexpr std::uint64_t kEntryExecute = 1u << 2;
inline constexpr std::uint64_t kEntryRights = kEntryRead | kEntryWrite | kEntryExecute;
inline constexpr std::uint64_t kEntryWriteBack = 6u << 3;
inline constexpr std::uint64_t kEntryMemoryType = 7u << 3;
inline constexpr std::uint64_t kEntryIgnorePat = 1u << 6;
inline constexpr std::uint64_t kEntryLarge = 1u << 7;
inline constexpr std::uint64_t kEntryAccessed = 1u << 8;
inline constexpr std::uint64_t kEntryDirty = 1u << 9;
inline constexpr std::uint64_t kEntryAddress = ((std::uint64_t{1} << 40) - 1) << 12;
inline constexpr int kEntryFillShift = 52;
inline constexpr std::uint64_t kEntryFill = std::uint64_t{3} << kEntryFillShift;
inline constexpr std::uint64_t kEntryWired = std::uint64_t{1} << 54;
inline constexpr std::uint64_t kEntryFramed = std::uint64_t{1} << 55;

inline constexpr std::uint64_t kFrameNumberLimit = std::uint64_t{1} << 40;
inline constexpr int kLevels = 4;
inline constexpr std::uint64_t kEntriesPerNode = 512;
/// What four levels reach.
inline constexpr std::uint64_t kTableLimit = std::uint64_t{1} << 48;

/// Bytes one entry of a level covers: level 1 4 KiB, level 2 2 MiB, level 3 1 GiB, level 4 512 GiB.
[[nodiscard]] constexpr std::uint64_t span_of(int level) {
  return std::uint64_t{1} << (12 + 9 * (level - 1));
}
/// Levels 1 to 3 may hold leaves.
inline constexpr int kTopLeafLevel = 3;

/// What a leaf says, apart from its place.
struct Leaf {
  std::optional<std::uint64_t>
      frame;  // frame number of the first page, below 2^40; empty: Fill::Zero and Present
  uvm::Fill fill = uvm::Fill::Exact;
  uvm::Protection rights = uvm::Protection::None;
  bool wired = false;

  /// The leaf that continues this one `pages` further on.
  [[nodiscard]] constexpr Leaf advanced(std::uint64_t pages) const {
    Leaf next = *this;
    if (next.frame) *next.frame += pages;
    return next;
  }
  friend constexpr bool operator==(const Leaf&, const Leaf&) = default;
};

class Entry {
 public:
  constexpr Entry() = default;
  constexpr explicit Entry(std::uint64_t bits) : bits_(bits) {}

  /// `level` 1..3. A frame has to be aligned to the level's span.
  [[nodiscard]] static constexpr Entry leaf(const Leaf& leaf, int level) {
    std::uint64_t bits = kEntryWriteBack | (static_cast<std::uint64_t>(leaf.rights) & kEntryRights);
    bits |= static_cast<std::uint64_t>(leaf.fill) << kEntryFillShift;
    if (level > 1) bits |= kEntryLarge;
    if (leaf.wired) bits |= kEntryWired;
    if (leaf.frame) bits |= kEntryFramed | (*leaf.frame << 12 & kEntryAddress);
    return Entry(bits);
  }
  /// `address`: of the node one level down, page-aligned. All rights: the leaf decides.
  [[nodiscard]] static constexpr Entry node(std::uint64_t address) {
    return Entry((address & kEntryAddress) | kEntryRights);
  }

  [[nodiscard]] constexpr std::uint64_t bits() const { return bits_; }
  /// Without any right an entry translates nothing (SDM 29.3.2).
  [[nodiscard]] constexpr bool present() const { return (bits_ & kEntryRights) != 0; }
  [[nodiscard]] constexpr bool is_leaf(int level) const {
    return present() && (level == 1 || (bits_ & kEntryLarge) != 0);
  }
  [[nodiscard]] constexpr std::uint64_t address() const { return bits_ & kEntryAddress; }

  /// Only of a leaf.
  [[nodiscard]] constexpr Leaf decoded() const {
    Leaf leaf;
    if ((bits_ & kEntryFramed) != 0) leaf.frame = address() >> 12;
    leaf.fill = static_cast<uvm::Fill>((bits_ & kEntryFill) >> kEntryFillShift);
    leaf.rights = static_cast<uvm::Protection>(bits_ & kEntryRights);
    leaf.wired = (bits_ & kEntryWired) != 0;
    return leaf;
  }

  friend constexpr bool operator==(Entry, Entry) = default;

 private:
  std::uint64_t bits_ = 0;
};

static_assert(sizeof(Entry) == 8);
static_assert(static_cast<std::uint64_t>(uvm::Protection::Read) == kEntryRead &&
                  static_cast<std::uint64_t>(uvm::Protection::Write) == kEntryWrite &&
                  static_cast<std::uint64_t>(uvm::Protection::Execute) == kEntryExecute,
              "rights are copied without translation");
static_assert((kEntryRights | kEntryMemoryType | kEntryIgnorePat | kEntryLarge | kEntryAccessed |
               kEntryDirty) == 0x3ff);
static_assert(kEntryAddress == 0x000f'ffff'ffff'f000);
static_assert((kEntryFill | kEntryWired | kEntryFramed) >> 52 == 0xf, "software bits stay within 52..56");
static_assert(span_of(1) == uvm::kPageSize && span_of(2) == uvm::kLargePageSize &&
              span_of(3) == uvm::kHugePageSize);
static_assert(span_of(kLevels) * kEntriesPerNode == kTableLimit);

}  // namespace ept
