#include "guest/elf_image.h"

#include "guest/byte_view.h"
#include "guest/plan_check.h"

namespace guest {
namespace {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Gpa;

constexpr std::uint32_t kElfMagic = 0x464c457f;  // "\x7fELF"
constexpr std::uint8_t kClass32 = 1;
constexpr std::uint8_t kClass64 = 2;
constexpr std::uint8_t kLittleEndian = 1;
constexpr std::uint16_t kTypeExecutable = 2;
constexpr std::uint16_t kTypeShared = 3;  // a position-independent kernel still has physical addresses
constexpr std::uint32_t kSegmentLoad = 1;
constexpr std::uint32_t kSegmentNote = 4;

/// Where the fields of one ELF class are (System V gABI, chapter 4 and 5).
struct Layout {
  std::uint64_t header_size, entry, phoff, phentsize, phnum;
  std::uint64_t ph_size, ph_offset, ph_vaddr, ph_paddr, ph_filesz, ph_memsz, ph_align;
  std::uint64_t word;  // bytes of an address or offset
};
constexpr Layout kLayout32{52, 24, 28, 42, 44, 32, 4, 8, 12, 16, 20, 28, 4};
constexpr Layout kLayout64{64, 24, 32, 54, 56, 56, 8, 16, 24, 32, 40, 48, 8};

class Parser {
 public:
  explicit Parser(std::span<const std::byte> file) : file_(file) {}

  uvm::Status identify(ElfImage& image);
  uvm::Status program_headers(ElfImage& image);

 private:
  uvm::Result<std::uint64_t> word(std::uint64_t offset, std::string_view name) const {
    if (layout_.word == 8) return file_.field<std::uint64_t>(offset, name);
    UVMM_TRY(const auto value, file_.field<std::uint32_t>(offset, name));
    return std::uint64_t{value};
  }
  uvm::Status load(ElfImage& image, std::uint64_t at, unsigned index) const;
  uvm::Status notes(ElfImage& image, std::uint64_t at) const;

  ByteView file_;
  Layout layout_ = kLayout64;
};

uvm::Status Parser::identify(ElfImage& image) {
  if (file_.read<std::uint32_t>(0) != kElfMagic) {
    return Error(ErrorKind::Invalid, "not an ELF file (no \\x7fELF at its start)",
                 "give an ELF kernel or another --format");
  }
  UVMM_TRY(const auto elf_class, file_.field<std::uint8_t>(4, "EI_CLASS"));
  UVMM_TRY(const auto data, file_.field<std::uint8_t>(5, "EI_DATA"));
  if ((elf_class != kClass32 && elf_class != kClass64) || data != kLittleEndian) {
    return Error(ErrorKind::Invalid,
                 "EI_CLASS " + std::to_string(elf_class) + ", EI_DATA " + std::to_string(data) +
                     ": neither 32- nor 64-bit little-endian",
                 "give a kernel for x86");
  }
  image.elf_class = elf_class == kClass32 ? ElfClass::Elf32 : ElfClass::Elf64;
  layout_ = elf_class == kClass32 ? kLayout32 : kLayout64;
  UVMM_TRY(const auto type, file_.field<std::uint16_t>(16, "e_type"));
  UVMM_TRY(image.machine, file_.field<std::uint16_t>(18, "e_machine"));
  if (image.machine != ElfImage::kMachine386 && image.machine != ElfImage::kMachineX8664) {
    return Error(ErrorKind::Unsupported,
                 "e_machine is " + std::to_string(image.machine) + ", not 3 (i386) or 62 (x86-64)",
                 "give a kernel for x86");
  }
  if (type != kTypeExecutable && type != kTypeShared) {
    return Error(ErrorKind::Invalid, "e_type is " + std::to_string(type) + ", not an executable (2 or 3)",
                 "link the kernel first; a module or object file cannot boot");
  }
  UVMM_TRY(image.entry, word(layout_.entry, "e_entry"));
  return uvm::ok();
}

uvm::Status Parser::program_headers(ElfImage& image) {
  UVMM_TRY(const auto table, word(layout_.phoff, "e_phoff"));
  UVMM_TRY(const auto entry_size, file_.field<std::uint16_t>(layout_.phentsize, "e_phentsize"));
  UVMM_TRY(const auto count, file_.field<std::uint16_t>(layout_.phnum, "e_phnum"));
  if (count != 0 && entry_size < layout_.ph_size) {
    return Error(ErrorKind::Invalid,
                 "e_phentsize " + std::to_string(entry_size) + " is less than a program header's " +
                     std::to_string(layout_.ph_size) + " bytes",
                 "the file is damaged; copy or build it again");
  }
  const std::uint64_t table_size = std::uint64_t{entry_size} * count;
  if (!file_.holds(table, table_size))
    return file_.truncated("program header table (e_phoff)", table, table_size);
  for (unsigned i = 0; i < count; ++i) {
    const std::uint64_t at = table + std::uint64_t{entry_size} * i;
    UVMM_TRY(const auto type, file_.field<std::uint32_t>(at, "p_type"));
    if (type == kSegmentLoad) UVMM_CHECK(load(image, at, i));
    if (type == kSegmentNote) UVMM_CHECK(notes(image, at));
  }
  if (image.loads.empty()) {
    return Error(ErrorKind::Invalid,
                 "no PT_LOAD segment with contents among " + std::to_string(count) + " program headers",
                 "link the kernel with a program header that loads it");
  }
  return uvm::ok();
}

uvm::Status Parser::load(ElfImage& image, std::uint64_t at, unsigned index) const {
  ElfLoad segment;
  UVMM_TRY(segment.file_offset, word(at + layout_.ph_offset, "p_offset"));
  UVMM_TRY(segment.virtual_address, word(at + layout_.ph_vaddr, "p_vaddr"));
  UVMM_TRY(segment.physical, word(at + layout_.ph_paddr, "p_paddr"));
  UVMM_TRY(segment.file_size, word(at + layout_.ph_filesz, "p_filesz"));
  UVMM_TRY(segment.memory_size, word(at + layout_.ph_memsz, "p_memsz"));
  const std::string name = "program header " + std::to_string(index);
  if (segment.file_size > segment.memory_size) {
    return Error(ErrorKind::Invalid,
                 name + ": p_filesz " + uvm::hex(segment.file_size) + " is more than p_memsz " +
                     uvm::hex(segment.memory_size),
                 "the file is damaged; copy or build it again");
  }
  if (segment.file_size != 0 && !file_.holds(segment.file_offset, segment.file_size)) {
    return file_.truncated(name + ": p_offset", segment.file_offset, segment.file_size);
  }
  if (segment.memory_size != 0) image.loads.push_back(segment);
  return uvm::ok();
}

uvm::Status Parser::notes(ElfImage& image, std::uint64_t at) const {
  UVMM_TRY(const auto offset, word(at + layout_.ph_offset, "p_offset"));
  UVMM_TRY(const auto size, word(at + layout_.ph_filesz, "p_filesz"));
  UVMM_TRY(const auto align, word(at + layout_.ph_align, "p_align"));
  const auto bytes = file_.slice(offset, size);
  if (!bytes) return uvm::ok();
  const ByteView view(*bytes);
  const std::uint64_t unit = align == 8 ? 8 : 4;
  const auto round = [unit](std::uint64_t n) { return (n + unit - 1) & ~(unit - 1); };
  std::uint64_t position = 0;
  while (view.holds(position, 12)) {
    const std::uint64_t name_size = *view.read<std::uint32_t>(position);
    const std::uint64_t descriptor_size = *view.read<std::uint32_t>(position + 4);
    const std::uint64_t descriptor_at = round(position + 12 + name_size);
    const auto name = view.slice(position + 12, name_size);
    const auto descriptor = view.slice(descriptor_at, descriptor_size);
    if (!name || !descriptor) break;
    std::string_view text(reinterpret_cast<const char*>(name->data()), name->size());
    text = text.substr(0, text.find('\0'));
    image.notes.push_back({text, *view.read<std::uint32_t>(position + 8), *descriptor});
    position = round(descriptor_at + descriptor_size);
  }
  return uvm::ok();
}

}  // namespace

bool is_elf(std::span<const std::byte> file) {
  return ByteView(file).read<std::uint32_t>(0) == kElfMagic;
}

uvm::Result<ElfImage> ElfImage::parse(std::span<const std::byte> file) {
  ElfImage image;
  Parser parser(file);
  UVMM_CHECK(parser.identify(image));
  UVMM_CHECK(parser.program_headers(image));
  return image;
}

uvm::Result<Gpa> ElfImage::physical_entry() const {
  for (const ElfLoad& load : loads) {
    if (entry >= load.physical && entry - load.physical < load.memory_size) return Gpa(entry);
  }
  for (const ElfLoad& load : loads) {
    if (entry >= load.virtual_address && entry - load.virtual_address < load.memory_size) {
      return Gpa(load.physical + (entry - load.virtual_address));
    }
  }
  return Error(ErrorKind::Invalid, "e_entry " + uvm::hex(entry) + " lies in none of the loaded segments",
               "set the kernel's entry point (ld -e) to its first instruction");
}

std::optional<ElfNote> ElfImage::find_note(std::string_view name, std::uint32_t type) const {
  for (const ElfNote& note : notes) {
    if (note.name == name && note.type == type) return note;
  }
  return std::nullopt;
}

uvm::Status add_elf_segments(LoadPlan& plan, const ElfImage& image, const BootRequest& request) {
  for (std::size_t i = 0; i < image.loads.size(); ++i) {
    const ElfLoad& load = image.loads[i];
    const std::string name = "kernel segment " + std::to_string(i);
    const Gpa at(load.physical);
    if (load.file_size != 0) {
      plan.segments.push_back(Segment::from_kernel(name, at, load.file_size, load.file_offset));
    }
    const std::uint64_t bss = load.memory_size - load.file_size;
    if (bss != 0) plan.segments.push_back(Segment::zero(name + " bss", at + load.file_size, bss));
  }
  UVMM_CHECK(check_plan(plan, request));
  span_kernel(plan);
  return uvm::ok();
}

}  // namespace guest
