// Multiboot 1 (the GNU "Multiboot Specification" 0.6.96): a 12-byte header within the first 8192 bytes of the
// file marks a kernel that wants 32-bit protected mode, EAX = magic and EBX = the information structure. The
// file is an ELF (32-bit; 64-bit containers of 32-bit code work too), or anything with address fields ("a.out
// kludge"), which win over ELF headers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "guest/load_plan.h"

namespace guest {

inline constexpr std::uint32_t kMultibootHeaderMagic = 0x1badb002;
inline constexpr std::uint32_t kMultibootLoaderMagic = 0x2badb002;  // EAX at entry
inline constexpr std::uint64_t kMultibootSearch = 8192;  // bytes in which the header must lie whole

struct MultibootInfo {
  std::uint32_t flags;
  std::uint32_t mem_lower;  // KiB below 1 MiB
  std::uint32_t mem_upper;  // KiB from 1 MiB to the first hole
  std::uint32_t boot_device;
  std::uint32_t cmdline;
  std::uint32_t mods_count;
  std::uint32_t mods_addr;
  std::uint32_t syms[4];
  std::uint32_t mmap_length;  // bytes
  std::uint32_t mmap_addr;
  std::uint32_t drives_length;
  std::uint32_t drives_addr;
  std::uint32_t config_table;
  std::uint32_t boot_loader_name;
  std::uint32_t apm_table;
  std::uint32_t video[11];
};
struct MultibootModule {
  std::uint32_t mod_start;
  std::uint32_t mod_end;  // exclusive
  std::uint32_t string;
  std::uint32_t reserved;
};
struct [[gnu::packed]] MultibootMmapEntry {
  std::uint32_t size;  // of what follows
  std::uint64_t addr;
  std::uint64_t length;
  std::uint32_t type;  // E820Type
};
static_assert(offsetof(MultibootInfo, mmap_length) == 44 && offsetof(MultibootInfo, boot_loader_name) == 64);
static_assert(sizeof(MultibootInfo) == 116);
static_assert(sizeof(MultibootModule) == 16);
static_assert(sizeof(MultibootMmapEntry) == 24);

/// File offset of the header: magic, and a checksum that makes the three words 0.
[[nodiscard]] std::optional<std::uint64_t> find_multiboot_header(std::span<const std::byte> kernel);

/// The guest gets memory sizes, memory map, command line ("KERNEL-NAME ARGUMENTS", as boot loaders pass it),
/// the initrd as the one module, and the loader's name. Refused: required features we lack (video mode,
/// unknown bits 3–15), and address fields that contradict each other or the file.
[[nodiscard]] uvm::Result<LoadPlan> plan_multiboot(const BootRequest& request);

}  // namespace guest
