// What the VMM hands a built-in long-mode guest; included by both sides, so plain C layout and no library.
#pragma once

#include <cstddef>
#include <cstdint>

namespace guest::programs {

/// One range of RAM the program may use, in bytes.
struct RamRange {
  std::uint64_t gpa;
  std::uint64_t size;
};

/// Lies at kInfoGpa; its GPA is in RDI at entry. RAM below 1 MiB belongs to the loader (info, page tables),
/// except the SIPI page; list it or not, the programs leave it alone.
struct BuiltinInfo {
  static constexpr std::uint64_t kMagic = 0x3174'6c69'7562'6d76;  // "vmbuilt1"
  static constexpr std::uint32_t kMaxRanges = 16;
  static constexpr std::uint32_t kMaxArguments = 512;

  std::uint64_t magic;
  std::uint32_t vcpus;   // processors, APIC ids 0 … vcpus - 1
  std::uint32_t ranges;  // used entries of ram
  RamRange ram[kMaxRanges];
  char arguments[kMaxArguments];  // "passes=2 page=2m", NUL-terminated
};

static_assert(offsetof(BuiltinInfo, vcpus) == 8 && offsetof(BuiltinInfo, ranges) == 12);
static_assert(offsetof(BuiltinInfo, ram) == 16 && offsetof(BuiltinInfo, arguments) == 272);
static_assert(sizeof(BuiltinInfo) == 784);

inline constexpr std::uint64_t kInfoGpa = 0x9000;
/// smp_hammer puts its real-mode start-up code here; a loader must leave the page free.
inline constexpr std::uint64_t kSipiGpa = 0x8000;
/// spin counts here (64 bits): a watcher reads it twice to see that the guest runs.
inline constexpr std::uint64_t kSpinCounterGpa = 0x7000;
inline constexpr std::uint64_t kRealEntry = 0x7c00;
inline constexpr std::uint64_t kLongEntry = 0x10'0000;

inline constexpr std::uint16_t kSerialPort = 0x3f8;
/// The value written ends the machine; 0 is a pass.
inline constexpr std::uint16_t kExitPort = 0xf4;

}  // namespace guest::programs
