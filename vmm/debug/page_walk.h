// A guest's own page tables, walked as a debugger needs them: linear address to guest-physical address.
//
// KVM_TRANSLATE does the same for one vCPU's current CR3 at the price of an ioctl a page; this walk works for
// any CR3, says which level has no entry, and touches nothing but the memory it is given a reader for. Rights
// (user/supervisor, writable, no-execute) never stop it: a debugger looks through all of them. They are
// reported, because a trap byte may work at one privilege level only.
//
// Sources: SDM vol. 3A chapter 4 (32-bit 4.3, PAE 4.4, 4- and 5-level 4.5).
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "uvm/base/error.h"
#include "uvm/base/units.h"

namespace vmm::debug {

inline constexpr std::uint64_t kEferLongModeActive = 1U << 10;

/// Control registers that decide how a linear address is translated.
struct PagingState {
  std::uint64_t cr0 = 0;
  std::uint64_t cr3 = 0;
  std::uint64_t cr4 = 0;
  std::uint64_t efer = 0;

  friend bool operator==(const PagingState&, const PagingState&) = default;
};

enum class PagingMode : std::uint8_t { None, Bits32, Pae, FourLevel, FiveLevel };
[[nodiscard]] PagingMode paging_mode(const PagingState& state);
/// "4-level", for messages.
[[nodiscard]] std::string_view to_string(PagingMode mode);

struct Translation {
  uvm::Gpa gpa;                               // of the very byte
  std::uint64_t page_bytes = uvm::kPageSize;  // of the leaf: 4K, 2M, 4M or 1G
  bool user = true;                           // CPL 3 may use it
  bool writable = true;                       // every level has RW
};

/// The eight bytes at a guest-physical address that is a multiple of eight. An error is passed on, with the
/// level that asked in front.
using ReadPhysical = std::function<uvm::Result<std::uint64_t>(uvm::Gpa)>;

/// Translates one linear address. PCID and the flag bits of CR3 are ignored. Pure: calls `read` once a level.
/// Errors: Invalid (not canonical), NoMapping (the entry of a level is not present; named), and what `read`
/// answers.
[[nodiscard]] uvm::Result<Translation> walk(const PagingState& state, std::uint64_t linear,
                                            const ReadPhysical& read);

}  // namespace vmm::debug
