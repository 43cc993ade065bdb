// The three ways a guest starts: registers, and for the protected modes the tables they point at.
#pragma once

#include <cstdint>
#include <vector>

#include "guest/load_plan.h"

namespace guest {

/// Selectors of the flat segments; Linux' boot protocol asks for exactly these (Documentation/x86/boot.rst,
/// "32-bit" and "64-bit boot protocol").
inline constexpr std::uint16_t kCodeSelector = 0x10;
inline constexpr std::uint16_t kDataSelector = 0x18;
inline constexpr std::uint16_t kTaskSelector = 0x20;

/// CS:IP = segment:ip, all other segments 0, stack 0:sp.
[[nodiscard]] EntryState real_mode_entry(std::uint16_t segment, std::uint16_t ip, std::uint16_t sp);

/// Paging off, 4 GiB flat segments; adds the GDT to the plan. General registers are left 0.
void enter_protected_mode(LoadPlan& plan, std::uint32_t eip);

/// Paging on over identity tables for [0, 4 GiB); adds GDT and page tables to the plan. `rip` lies below 4
/// GiB.
void enter_long_mode(LoadPlan& plan, std::uint64_t rip);

/// The tables enter_long_mode adds: PML4, PDPT and four page directories of 2M pages, in this order from `at`
/// (a page boundary). Supervisor-only; accessed and dirty are set, so that no walk has to write them.
[[nodiscard]] std::vector<std::byte> identity_page_tables(uvm::Gpa at);

/// The 8-byte descriptor that would load `segment` (SDM vol. 3, 3.4.5).
[[nodiscard]] std::uint64_t descriptor(const SegmentRegister& segment);

}  // namespace guest
