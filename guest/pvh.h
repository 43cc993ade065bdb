// PVH: the direct boot protocol that Xen defined and KVM tools share (xen/include/public/arch-x86/hvm/
// start_info header and docs/misc/pvh.pandoc). An ELF note names a 32-bit entry; EBX points at
// hvm_start_info.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "guest/elf_image.h"
#include "guest/load_plan.h"

namespace guest {

inline constexpr std::uint32_t kNotePhys32Entry = 18;  // XEN_ELFNOTE_PHYS32_ENTRY, note name "Xen"
inline constexpr std::uint32_t kStartInfoMagic = 0x336ec578;

struct StartInfo {
  std::uint32_t magic;
  std::uint32_t version;  // 1: has a memory map
  std::uint32_t flags;
  std::uint32_t nr_modules;
  std::uint64_t modlist_paddr;
  std::uint64_t cmdline_paddr;
  std::uint64_t rsdp_paddr;
  std::uint64_t memmap_paddr;
  std::uint32_t memmap_entries;
  std::uint32_t reserved;
};
struct StartModule {
  std::uint64_t paddr;
  std::uint64_t size;
  std::uint64_t cmdline_paddr;
  std::uint64_t reserved;
};
struct StartMemmapEntry {
  std::uint64_t addr;
  std::uint64_t size;
  std::uint32_t type;  // E820Type
  std::uint32_t reserved;
};
static_assert(sizeof(StartInfo) == 56 && offsetof(StartInfo, memmap_paddr) == 40);
static_assert(sizeof(StartModule) == 32);
static_assert(sizeof(StartMemmapEntry) == 24);

/// The entry point of the note, if there is a well-formed one.
[[nodiscard]] std::optional<std::uint64_t> pvh_entry(const ElfImage& image);

/// Errors: ELF's own, no note, an entry outside the kernel or above 4 GiB.
[[nodiscard]] uvm::Result<LoadPlan> plan_pvh(const BootRequest& request);

}  // namespace guest
