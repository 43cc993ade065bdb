// Kernel files made up for tests: each is valid and small, with every field at a known offset so that a test
// can break one at a time.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "guest/boot_params.h"
#include "guest/byte_writer.h"
#include "guest/linux_bzimage.h"
#include "guest/load_plan.h"
#include "guest/multiboot.h"
#include "guest/pvh.h"

namespace guest::test {

using Bytes = std::vector<std::byte>;

inline constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

template <class T>
void poke(Bytes& bytes, std::size_t offset, T value) {
  ASSERT_LE(offset + sizeof value, bytes.size());
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

template <class T>
T peek(const Bytes& bytes, std::size_t offset) {
  T value{};
  if (offset + sizeof value <= bytes.size()) std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

// --- bzImage: boot sector, one setup sector, 1 KiB of "code" at file offset 0x400.
inline constexpr std::uint64_t kBzCodeOffset = 0x400;
inline constexpr std::uint64_t kBzCodeSize = 0x400;
inline constexpr std::uint64_t kBzLoad = 0x1000000;
inline constexpr std::uint32_t kBzInitSize = 0x200000;

inline SetupHeader bz_header() {
  SetupHeader header{};
  header.setup_sects = 1;
  header.syssize = kBzCodeSize / 16;
  header.boot_flag = kBootFlag;
  header.jump_opcode = 0xeb;
  header.jump_offset = 0x26c - 0x202;
  header.header = kHeaderMagic;
  header.version = 0x20f;
  header.loadflags = kLoadedHigh;
  header.initrd_addr_max = 0x7fffffff;
  header.kernel_alignment = 0x200000;
  header.relocatable_kernel = 1;
  header.xloadflags = kXlfKernel64;
  header.cmdline_size = 255;
  header.pref_address = kBzLoad;
  header.init_size = kBzInitSize;
  return header;
}

inline Bytes make_bzimage(const SetupHeader& header = bz_header()) {
  Bytes file(kBzCodeOffset + kBzCodeSize);
  poke(file, kSetupHeaderOffset, header);
  std::fill(file.begin() + kBzCodeOffset, file.end(), std::byte{0xf4});
  return file;
}

// --- ELF: header, program headers, then contents where the spec says.
struct ElfPart {
  std::uint32_t type = 1;  // PT_LOAD
  std::uint64_t offset = 0x200;
  std::uint64_t virtual_address = 0xffffffff81000000;
  std::uint64_t physical = 0x1000000;
  std::uint64_t file_size = 0x100;
  std::uint64_t memory_size = 0x180;
  std::uint64_t align = 4;
};

struct ElfSpec {
  int bits = 64;
  std::uint16_t type = 2;
  std::uint16_t machine = 62;
  std::uint64_t entry = 0x1000000;
  std::vector<ElfPart> parts = std::vector<ElfPart>(1);
  std::uint64_t file_size = 0x400;
};

// Field offsets for breaking ELF64 files.
inline constexpr std::size_t kElf64Phoff = 32;
inline constexpr std::size_t kElf64Phentsize = 54;
inline constexpr std::size_t kElf64Phnum = 56;
inline constexpr std::size_t kElf64FirstPh = 64;

inline Bytes make_elf(const ElfSpec& spec = {}) {
  const bool is64 = spec.bits == 64;
  ByteWriter out;
  const auto word = [&](std::uint64_t value) { is64 ? out.u64(value) : out.u32(value); };
  const std::uint64_t header_size = is64 ? 64 : 52;
  out.text(
      "\x7f"
      "ELF");
  out.u8(is64 ? 2 : 1).u8(1).u8(1).zeros(9).u16(spec.type).u16(spec.machine).u32(1);
  word(spec.entry);
  word(header_size);  // e_phoff
  word(0);            // e_shoff
  out.u32(0).u16(header_size).u16(is64 ? 56 : 32).u16(spec.parts.size()).u16(0).u16(0).u16(0);
  for (const ElfPart& part : spec.parts) {
    out.u32(part.type);
    if (is64) out.u32(5);
    word(part.offset);
    word(part.virtual_address);
    word(part.physical);
    word(part.file_size);
    word(part.memory_size);
    if (!is64) out.u32(5);
    word(part.align);
  }
  Bytes file = out.take();
  file.resize(std::max<std::size_t>(file.size(), spec.file_size));
  return file;
}

inline Bytes make_note(std::string_view name, std::uint32_t type, const Bytes& descriptor) {
  ByteWriter out;
  out.u32(name.size() + 1).u32(descriptor.size()).u32(type).text(name).u8(0);
  out.zeros((4 - out.size() % 4) % 4).append(descriptor);
  out.zeros((4 - out.size() % 4) % 4);
  return out.take();
}

/// ELF64 with a second program header: notes at file offset 0x300.
inline Bytes make_elf_with_notes(const Bytes& notes) {
  ElfSpec spec;
  spec.parts.push_back({.type = 4, .offset = 0x300, .file_size = notes.size(), .memory_size = notes.size()});
  Bytes file = make_elf(spec);
  std::copy(notes.begin(), notes.end(), file.begin() + 0x300);
  return file;
}

inline constexpr std::uint32_t kPvhEntry = 0x1000040;

inline Bytes make_pvh() {
  Bytes notes = make_note("GNU", 1, to_bytes(std::uint32_t{7}));
  const Bytes pvh = make_note("Xen", kNotePhys32Entry, to_bytes(std::uint64_t{kPvhEntry}));
  notes.insert(notes.end(), pvh.begin(), pvh.end());
  return make_elf_with_notes(notes);
}

// --- multiboot: header at file offset 0x100.
inline constexpr std::size_t kMbHeader = 0x100;

inline void put_multiboot_header(Bytes& file, std::uint32_t flags) {
  poke(file, kMbHeader, kMultibootHeaderMagic);
  poke(file, kMbHeader + 4, flags);
  poke(file, kMbHeader + 8, std::uint32_t{0} - kMultibootHeaderMagic - flags);
}

inline Bytes make_multiboot_elf(std::uint32_t flags = 3) {
  ElfSpec spec;
  spec.bits = 32;
  spec.machine = 3;
  spec.entry = 0x100010;
  spec.parts = {{.virtual_address = 0xc0100000, .physical = 0x100000}};
  Bytes file = make_elf(spec);
  put_multiboot_header(file, flags);
  return file;
}

/// Address fields: the text begins at file offset 0x80 for GPA 0x100000, 0x200 bytes, and 0x100 bytes of bss.
struct MbAddresses {
  std::uint32_t header_addr = 0x100080;
  std::uint32_t load_addr = 0x100000;
  std::uint32_t load_end_addr = 0x100200;
  std::uint32_t bss_end_addr = 0x100300;
  std::uint32_t entry_addr = 0x100010;
};

inline Bytes make_multiboot_kludge(const MbAddresses& addresses = {}) {
  Bytes file(0x400);
  put_multiboot_header(file, 1u << 16);
  poke(file, kMbHeader + 12, addresses);
  return file;
}

// --- requests and results
inline MemoryLayout layout(std::uint64_t bytes) {
  const auto hole = uvm::GpaRange::from_bounds(uvm::Gpa(3 * kGiB), uvm::Gpa(4 * kGiB));
  return MemoryLayout::create(bytes, *hole).value();
}

/// `kernel` must outlive the request.
inline BootRequest request(const Bytes& kernel, std::uint64_t ram = 128 * kMiB) {
  BootRequest boot;
  boot.kernel = kernel;
  boot.kernel_name = "/boot/test";
  boot.cmdline = "console=ttyS0";
  boot.memory = layout(ram);
  boot.acpi_rsdp = uvm::Gpa(0xe0000);
  return boot;
}

inline const Segment* find(const LoadPlan& plan, std::string_view name) {
  for (const Segment& segment : plan.segments) {
    if (segment.name == name) return &segment;
  }
  return nullptr;
}

/// The object of type T in the generated segment `name`.
template <class T>
T object_in(const LoadPlan& plan, std::string_view name, std::size_t offset = 0) {
  const Segment* segment = find(plan, name);
  EXPECT_NE(segment, nullptr) << name;
  return segment == nullptr ? T{} : peek<T>(segment->bytes, offset);
}

/// The bytes a plan puts at `gpa`, from whichever generated segment holds it.
inline Bytes bytes_at(const LoadPlan& plan, std::uint64_t gpa, std::size_t size) {
  for (const Segment& segment : plan.segments) {
    const auto range = segment.range();
    if (segment.source != Segment::Source::Bytes || !range || !range->contains(uvm::Gpa(gpa))) continue;
    const auto from = segment.bytes.begin() + static_cast<std::ptrdiff_t>(gpa - segment.gpa.value());
    const auto most = static_cast<std::size_t>(segment.bytes.end() - from);
    return Bytes(from, from + static_cast<std::ptrdiff_t>(std::min(size, most)));
  }
  return {};
}

inline std::string text_at(const LoadPlan& plan, std::uint64_t gpa) {
  std::string text;
  for (const std::byte byte : bytes_at(plan, gpa, 0x10000)) {
    if (byte == std::byte{0}) return text;
    text += static_cast<char>(byte);
  }
  return text + "<no NUL>";
}

template <class T>
void expect_error(const uvm::Result<T>& result, uvm::ErrorKind kind, std::string_view part) {
  ASSERT_FALSE(result.has_value()) << "expected an error with '" << part << "'";
  EXPECT_EQ(result.error().kind(), kind) << result.error().text();
  EXPECT_NE(result.error().text().find(part), std::string::npos) << result.error().text();
  EXPECT_EQ(result.error().text().find('\n'), std::string::npos) << result.error().text();
}

}  // namespace guest::test
