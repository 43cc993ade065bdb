// The one table of what is put into the first MiB, for all protocols. A protocol uses only its own rows, and
// a kernel that wants to be loaded over a row in use is refused (plan_check).
//
//   0x00000  interrupt vectors and BIOS data of real mode: left alone
//   0x01000  GDT                          32- and 64-bit entries
//   0x02000  page tables, 6 pages         64-bit entries
//   0x08000  boot_params                  Linux, flat 64-bit
//   0x09000  PVH start info, module, memory map
//   0x0b000  multiboot info, module, memory map
//   0x10000  command line, up to 64 KiB
//   0x20000  stack of flat 64-bit images, 64 KiB, grows down from 0x30000
//   0x9fc00  end of usable low memory (a BIOS would keep its extended data area here)
//   0xe0000  ACPI tables, to 1 MiB; multiboot kernels find the RSDP by scanning here
#pragma once

#include "uvm/base/range.h"

namespace guest::low_memory {

inline constexpr uvm::Gpa kGdt{0x1000};
inline constexpr uvm::Gpa kPageTables{0x2000};
inline constexpr uvm::Gpa kBootParams{0x8000};
inline constexpr uvm::Gpa kStartInfo{0x9000};
inline constexpr uvm::Gpa kMultibootInfo{0xb000};
inline constexpr uvm::Gpa kMultibootInfoEnd{0x10000};
inline constexpr uvm::Gpa kCommandLine{0x10000};
inline constexpr std::uint64_t kCommandLineBytes = 0x10000;  // with its terminating NUL
inline constexpr uvm::Gpa kStackBottom{0x20000};
inline constexpr uvm::Gpa kStackTop{0x30000};
inline constexpr uvm::Gpa kUsableEnd{0x9fc00};
inline constexpr uvm::Gpa kVideoMemory{0xa0000};
inline constexpr uvm::Gpa kAcpi{0xe0000};
inline constexpr uvm::Gpa kEnd{0x100000};

/// What the 64-bit entry's page tables map, one to one: [0, 4 GiB).
inline constexpr std::uint64_t kIdentityMapped = std::uint64_t{4} << 30;

}  // namespace guest::low_memory
