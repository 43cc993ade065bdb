// ELF executables, 32 and 64 bit, little-endian x86: program headers and notes, every bound checked. Section
// headers are never looked at; stripped kernels have none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "guest/load_plan.h"

namespace guest {

enum class ElfClass { Elf32, Elf64 };

/// A PT_LOAD header with a memory size; file_size <= memory_size, and its bytes are in the file.
struct ElfLoad {
  std::uint64_t file_offset = 0;
  std::uint64_t file_size = 0;
  std::uint64_t memory_size = 0;
  std::uint64_t physical = 0;
  std::uint64_t virtual_address = 0;
};

/// One entry of a PT_NOTE segment; `name` without its NUL; both borrow from the file.
struct ElfNote {
  std::string_view name;
  std::uint32_t type = 0;
  std::span<const std::byte> descriptor;
};

struct ElfImage {
  ElfClass elf_class = ElfClass::Elf64;
  std::uint16_t machine = 0;  // kMachine386 or kMachineX8664
  std::uint64_t entry = 0;    // as e_entry says: physical or virtual
  std::vector<ElfLoad> loads;
  std::vector<ElfNote> notes;

  static constexpr std::uint16_t kMachine386 = 3;
  static constexpr std::uint16_t kMachineX8664 = 62;

  /// Errors: not ELF, not x86, not an executable, header or segment outside the file, no PT_LOAD. A malformed
  /// note ends the reading of its segment and is no error: notes are optional.
  [[nodiscard]] static uvm::Result<ElfImage> parse(std::span<const std::byte> file);

  /// e_entry as a physical address: Linux and most kernels put one there, others a virtual address inside a
  /// segment, which is translated. Error when it lies in no segment at all.
  [[nodiscard]] uvm::Result<uvm::Gpa> physical_entry() const;

  [[nodiscard]] std::optional<ElfNote> find_note(std::string_view name, std::uint32_t type) const;
};

/// The four magic bytes.
[[nodiscard]] bool is_elf(std::span<const std::byte> file);

/// Appends file and bss segments for every load, checks them against RAM and each other, and sets
/// plan.kernel.
[[nodiscard]] uvm::Status add_elf_segments(LoadPlan& plan, const ElfImage& image, const BootRequest& request);

}  // namespace guest
