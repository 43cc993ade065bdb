// The boot protocols by name: what --format takes, what --dry-run and errors print.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace guest {

enum class KernelFormat {
  Auto,       // recognise the file: bzImage magic, then ELF by multiboot header, PVH note, 64-bit Linux
  BzImage,    // Linux setup header + compressed kernel, entered at its 64-bit (or 32-bit) entry
  Elf64,      // an ELF vmlinux entered through the 64-bit Linux protocol
  Pvh,        // an ELF with XEN_ELFNOTE_PHYS32_ENTRY
  Multiboot,  // multiboot 1: ELF or address fields
  FlatReal,   // raw bytes, 16-bit real mode
  FlatLong,   // raw bytes, 64-bit mode with identity page tables
};

/// "auto", "bzimage", "elf64", "pvh", "multiboot", "flat-real", "flat-long".
[[nodiscard]] std::string_view to_string(KernelFormat format);

/// The inverse of to_string; nullopt for any other word.
[[nodiscard]] std::optional<KernelFormat> kernel_format(std::string_view name);

/// All names, "auto, bzimage, …", for help texts and errors.
[[nodiscard]] std::string kernel_format_names();

}  // namespace guest
