// Linux' "zero page": the one page that tells a kernel all it cannot probe (Documentation/x86/boot.rst and
// zero-page.rst). Only fields we read or write have names; offsets are asserted below.
#pragma once

#include <cstddef>
#include <cstdint>

namespace guest {

inline constexpr std::uint64_t kSetupHeaderOffset = 0x1f1;  // in the file and in the zero page alike
inline constexpr std::uint64_t kSetupHeaderLimit = 0x290;   // the zero page has room up to here
inline constexpr std::uint16_t kBootFlag = 0xaa55;
inline constexpr std::uint32_t kHeaderMagic = 0x53726448;  // "HdrS"

inline constexpr std::uint8_t kLoadedHigh = 1 << 0;        // loadflags
inline constexpr std::uint16_t kXlfKernel64 = 1 << 0;      // xloadflags: has the 64-bit entry at +0x200
inline constexpr std::uint8_t kUndefinedLoader = 0xff;     // type_of_loader
inline constexpr std::uint16_t kNormalVideoMode = 0xffff;  // vid_mode

/// As in the file at 0x1f1, protocol 2.15. Older files end sooner; missing fields read as 0.
struct [[gnu::packed]] SetupHeader {
  std::uint8_t setup_sects;  // 512-byte sectors of real-mode code after the first
  std::uint16_t root_flags;
  std::uint32_t syssize;  // protected-mode code in 16-byte units
  std::uint16_t ram_size;
  std::uint16_t vid_mode;
  std::uint16_t root_dev;
  std::uint16_t boot_flag;
  std::uint8_t jump_opcode;
  std::uint8_t jump_offset;  // the header ends at 0x202 + this
  std::uint32_t header;
  std::uint16_t version;
  std::uint32_t realmode_swtch;
  std::uint16_t start_sys_seg;
  std::uint16_t kernel_version;
  std::uint8_t type_of_loader;
  std::uint8_t loadflags;
  std::uint16_t setup_move_size;
  std::uint32_t code32_start;
  std::uint32_t ramdisk_image;
  std::uint32_t ramdisk_size;
  std::uint32_t bootsect_kludge;
  std::uint16_t heap_end_ptr;
  std::uint8_t ext_loader_ver;
  std::uint8_t ext_loader_type;
  std::uint32_t cmd_line_ptr;
  std::uint32_t initrd_addr_max;  // last address an initrd may use, inclusive
  std::uint32_t kernel_alignment;
  std::uint8_t relocatable_kernel;
  std::uint8_t min_alignment;
  std::uint16_t xloadflags;
  std::uint32_t cmdline_size;  // without the NUL
  std::uint32_t hardware_subarch;
  std::uint64_t hardware_subarch_data;
  std::uint32_t payload_offset;
  std::uint32_t payload_length;
  std::uint64_t setup_data;
  std::uint64_t pref_address;
  std::uint32_t init_size;  // bytes needed from the load address on before the kernel knows its memory map
  std::uint32_t handover_offset;
  std::uint32_t kernel_info_offset;
};

struct [[gnu::packed]] BootE820Entry {
  std::uint64_t addr;
  std::uint64_t size;
  std::uint32_t type;
};

inline constexpr std::size_t kBootE820Entries = 128;

struct [[gnu::packed]] BootParams {
  std::uint8_t screen_info[0x70];  // and other firmware tables we leave 0
  std::uint64_t acpi_rsdp_addr;
  std::uint8_t reserved_078[0x48];
  std::uint32_t ext_ramdisk_image;  // upper halves
  std::uint32_t ext_ramdisk_size;
  std::uint32_t ext_cmd_line_ptr;
  std::uint8_t reserved_0cc[0x11c];
  std::uint8_t e820_entries;
  std::uint8_t reserved_1e9[6];
  std::uint8_t sentinel;  // 0: the rest of the page is valid as we left it
  std::uint8_t reserved_1f0;
  SetupHeader hdr;
  std::uint8_t reserved_26c[kSetupHeaderLimit - kSetupHeaderOffset - sizeof(SetupHeader)];
  std::uint8_t reserved_290[0x40];
  BootE820Entry e820_table[kBootE820Entries];
  std::uint8_t reserved_cd0[0x330];
};

static_assert(sizeof(SetupHeader) == 0x26c - kSetupHeaderOffset);
static_assert(offsetof(SetupHeader, header) == 0x202 - kSetupHeaderOffset);
static_assert(offsetof(SetupHeader, code32_start) == 0x214 - kSetupHeaderOffset);
static_assert(offsetof(SetupHeader, initrd_addr_max) == 0x22c - kSetupHeaderOffset);
static_assert(offsetof(SetupHeader, cmdline_size) == 0x238 - kSetupHeaderOffset);
static_assert(offsetof(SetupHeader, pref_address) == 0x258 - kSetupHeaderOffset);
static_assert(offsetof(SetupHeader, init_size) == 0x260 - kSetupHeaderOffset);
static_assert(sizeof(BootParams) == 0x1000);
static_assert(offsetof(BootParams, acpi_rsdp_addr) == 0x070);
static_assert(offsetof(BootParams, ext_ramdisk_image) == 0x0c0);
static_assert(offsetof(BootParams, e820_entries) == 0x1e8);
static_assert(offsetof(BootParams, sentinel) == 0x1ef);
static_assert(offsetof(BootParams, hdr) == kSetupHeaderOffset);
static_assert(offsetof(BootParams, e820_table) == 0x2d0);

}  // namespace guest
