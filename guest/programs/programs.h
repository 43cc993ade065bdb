// The built-in guests: small freestanding programs that exercise a machine without any file from outside.
//
// Contract. Real16 programs are placed at 0x7c00 and entered with CS:IP = 0:0x7c00, as a boot sector is.
// Long64 programs are placed at 1 MiB and entered at their first byte in 64-bit mode at CPL 0: flat segments,
// interrupts off, CR3 at tables of the loader that map the first 4 GiB one to one (2M pages, supervisor,
// writable), RDI = GPA of a BuiltinInfo. They print to port 0x3f8 and end by writing a status to port 0xf4 (0
// = pass).
//
// The ones that need speed switch to tables of their own and drop to CPL 3, where every KVM runs them on the
// processor, PVM included; at CPL 0 they keep to the instructions PVM's emulator knows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace guest::programs {

enum class Mode { Real16, Long64 };

struct Program {
  std::string_view name;
  std::string_view summary;    // one line, for --help
  std::string_view arguments;  // "passes=N page=4k|2m", empty when it takes none
  Mode mode;
  std::span<const std::byte> image;  // static storage
  std::uint64_t load_gpa;            // bytes
  std::uint64_t entry;               // GPA of the first instruction
  std::uint64_t min_memory;          // bytes of RAM from GPA 0 on
};

/// All programs, in the order --help lists them.
[[nodiscard]] std::span<const Program> all();
/// nullptr when there is none of that name.
[[nodiscard]] const Program* find(std::string_view name);

}  // namespace guest::programs
