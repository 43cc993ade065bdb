#include "vmm/debug/core_dump.h"

#include <elf.h>
#include <sys/procfs.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <string_view>
#include <vector>

#include "vmm/debug/mapped_ranges.h"
#include "vmm/debug/registers.h"

namespace vmm::debug {
namespace {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;
using uvm::Status;

constexpr std::size_t kChunk = std::size_t{1} << 20;
constexpr std::size_t kMostSegments = 60'000;  // e_phnum has 16 bits, and 0xffff is special
constexpr std::string_view kInfoBegin = "OSRELEASE=";
constexpr std::string_view kInfoHas = "SYMBOL(init_uts_ns)=";

/// RAM of the guest: its mappings but those of devices, joined where they touch.
std::vector<uvm::GpaRange> ram_of(uvm::Space& space) {
  std::vector<uvm::GpaRange> ram;
  for (const auto& entry : space.entries()) {
    if (entry.tenure == uvm::Tenure::None) continue;
    if (!ram.empty() && ram.back().end() == entry.range.begin()) {
      ram.back() = *uvm::GpaRange::from_size(ram.back().begin(), ram.back().size() + entry.range.size());
    } else {
      ram.push_back(entry.range);
    }
  }
  return ram;
}

Elf64_Phdr segment(std::uint64_t linear, std::uint64_t gpa, std::uint64_t offset, std::uint64_t bytes) {
  Elf64_Phdr header{};
  header.p_type = PT_LOAD;
  header.p_flags = PF_R | PF_W | PF_X;
  header.p_vaddr = linear;
  header.p_paddr = gpa;
  header.p_offset = offset;
  header.p_filesz = header.p_memsz = bytes;
  header.p_align = uvm::kPageSize;
  return header;
}

/// The most that a note takes beside its content: its header, a name, padding.
constexpr std::uint64_t kNoteHead = sizeof(Elf64_Nhdr) + 32;

class CoreWriter {
 public:
  CoreWriter(Inferior& inferior, std::ofstream& file) : inferior_(inferior), file_(file) {}

  Result<CoreReport> write() {
    plan();
    // crash(8) takes all that lies before the first byte of memory for the header, and looks for the notes
    // there. What they hold is found in memory on the way, so they get room first.
    const std::uint64_t notes_at = sizeof(Elf64_Ehdr) + (segments_.size() + 1) * sizeof(Elf64_Phdr);
    const std::uint64_t room =
        inferior_.vcpus() * (sizeof(elf_prstatus) + kNoteHead) + uvm::kPageSize + kNoteHead;
    const std::uint64_t base = (notes_at + room + uvm::kPageSize - 1) & ~(uvm::kPageSize - 1);
    for (Elf64_Phdr& one : segments_) one.p_offset += base;
    // Pages of zeros are left out, and the file is as long as if they were not.
    if (report_.ram_bytes != 0) put(base + report_.ram_bytes - 1, std::array<std::byte, 1>{});
    UVMM_CHECK(write_ram(base));
    UVMM_CHECK(collect_notes());
    put(notes_at, std::as_bytes(std::span(notes_)));
    write_headers(notes_at);
    report_.segments = segments_.size();
    return report_;
  }

 private:
  /// Segments with offsets from the first byte of RAM on.
  void plan() {
    ram_ = ram_of(inferior_.space());
    std::uint64_t offset = 0;
    for (const auto& range : ram_) {
      segments_.push_back(segment(range.begin().value(), range.begin().value(), offset, range.size()));
      offset += range.size();
    }
    report_.ram_bytes = offset;
    const auto paging = inferior_.paging(0);
    if (!paging) return;
    const std::size_t physical = segments_.size();
    for (const MappedRange& mapped :
         mapped_ranges(*paging, inferior_.table_reader(), Merge::SameRightsAndNextFrame, kMostSegments)) {
      if (mapped.begin >> 63 == 0 || segments_.size() >= kMostSegments) continue;
      for (std::size_t i = 0; i < physical; ++i) add_part(mapped, ram_[i], segments_[i].p_offset);
    }
  }

  /// The part of a linear range that lies in one range of RAM.
  void add_part(const MappedRange& mapped, uvm::GpaRange ram, std::uint64_t ram_offset) {
    const auto whole = uvm::GpaRange::from_size(uvm::Gpa(mapped.gpa), mapped.bytes);
    if (!whole) return;
    const uvm::GpaRange part = whole->intersection(ram);
    if (part.empty()) return;
    const std::uint64_t into = part.begin() - whole->begin();
    segments_.push_back(segment(mapped.begin + into, part.begin().value(),
                                ram_offset + (part.begin() - ram.begin()), part.size()));
  }

  Status write_ram(std::uint64_t base) {
    std::vector<std::byte> chunk(kChunk);
    std::uint64_t at = base;
    for (const auto& range : ram_) {
      for (std::uint64_t done = 0; done < range.size();) {
        const auto part = std::span(chunk).first(std::min<std::uint64_t>(range.size() - done, chunk.size()));
        UVMM_TRY(const std::size_t read, inferior_.read({std::nullopt, range.begin().value() + done}, part));
        write_pages(at, part.first(read));
        at += read;
        done += read;
      }
    }
    return uvm::ok();
  }

  void write_pages(std::uint64_t at, std::span<const std::byte> bytes) {
    for (std::size_t i = 0; i < bytes.size(); i += uvm::kPageSize) {
      const auto page = bytes.subspan(i, std::min<std::size_t>(uvm::kPageSize, bytes.size() - i));
      if (std::all_of(page.begin(), page.end(), [](std::byte b) { return b == std::byte{}; })) continue;
      put(at + i, page);
      look_for_vmcoreinfo(page);
    }
  }

  void look_for_vmcoreinfo(std::span<const std::byte> page) {
    const std::string_view text(reinterpret_cast<const char*>(page.data()), page.size());
    if (!vmcoreinfo_.empty() || text.rfind(kInfoBegin, 0) != 0) return;
    const std::string_view whole = text.substr(0, text.find('\0'));
    if (whole.find(kInfoHas) != std::string_view::npos) vmcoreinfo_ = whole;
  }

  Status collect_notes() {
    for (std::size_t i = 0; i < inferior_.vcpus(); ++i) {
      gdb::RegisterFile file;
      UVMM_CHECK(read_registers(inferior_.vcpu(i), gdb::RegisterGroups::General | gdb::RegisterGroups::System,
                                file));
      const elf_prstatus status = prstatus(file, static_cast<pid_t>(i + 1));
      add_note("CORE", NT_PRSTATUS, std::as_bytes(std::span(&status, 1)));
    }
    if (!vmcoreinfo_.empty()) add_note("VMCOREINFO", 0, std::as_bytes(std::span(vmcoreinfo_)));
    report_.has_vmcoreinfo = !vmcoreinfo_.empty();
    return uvm::ok();
  }

  static elf_prstatus prstatus(const gdb::RegisterFile& file, pid_t id) {
    using gdb::Gpr;
    using gdb::Segment;
    const auto selector = [&](Segment which) -> elf_greg_t { return file[which].selector; };
    const std::array<elf_greg_t, ELF_NGREG> regs{file[Gpr::R15],
                                                 file[Gpr::R14],
                                                 file[Gpr::R13],
                                                 file[Gpr::R12],
                                                 file[Gpr::Rbp],
                                                 file[Gpr::Rbx],
                                                 file[Gpr::R11],
                                                 file[Gpr::R10],
                                                 file[Gpr::R9],
                                                 file[Gpr::R8],
                                                 file[Gpr::Rax],
                                                 file[Gpr::Rcx],
                                                 file[Gpr::Rdx],
                                                 file[Gpr::Rsi],
                                                 file[Gpr::Rdi],
                                                 ~elf_greg_t{0},
                                                 file.rip,
                                                 selector(Segment::Cs),
                                                 file.rflags,
                                                 file[Gpr::Rsp],
                                                 selector(Segment::Ss),
                                                 file[Segment::Fs].base,
                                                 file[Segment::Gs].base,
                                                 selector(Segment::Ds),
                                                 selector(Segment::Es),
                                                 selector(Segment::Fs),
                                                 selector(Segment::Gs)};
    elf_prstatus status{};
    status.pr_pid = id;
    std::copy(regs.begin(), regs.end(), std::begin(status.pr_reg));
    return status;
  }

  void add_note(std::string_view name, std::uint32_t type, std::span<const std::byte> content) {
    Elf64_Nhdr header{};
    header.n_namesz = static_cast<std::uint32_t>(name.size() + 1);
    header.n_descsz = static_cast<std::uint32_t>(content.size());
    header.n_type = type;
    append(std::as_bytes(std::span(&header, 1)));
    append(std::as_bytes(std::span(name)));
    notes_.push_back('\0');
    pad();
    append(content);
    pad();
  }
  void append(std::span<const std::byte> bytes) {
    for (const std::byte b : bytes) notes_.push_back(static_cast<char>(b));
  }
  void pad() {
    while (notes_.size() % 4 != 0) notes_.push_back('\0');
  }

  void write_headers(std::uint64_t notes_at) {
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_CORE;
    header.e_machine = EM_X86_64;
    header.e_version = EV_CURRENT;
    header.e_phoff = header.e_ehsize = sizeof(header);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = static_cast<std::uint16_t>(segments_.size() + 1);
    Elf64_Phdr notes{};
    notes.p_type = PT_NOTE;
    notes.p_offset = notes_at;
    notes.p_filesz = notes_.size();
    put(0, std::as_bytes(std::span(&header, 1)));
    put(sizeof(header), std::as_bytes(std::span(&notes, 1)));
    put(sizeof(header) + sizeof(notes), std::as_bytes(std::span(segments_)));
  }

  void put(std::uint64_t at, std::span<const std::byte> bytes) {
    file_.seekp(static_cast<std::streamoff>(at));
    file_.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }

  Inferior& inferior_;
  std::ofstream& file_;
  std::vector<uvm::GpaRange> ram_;
  std::vector<Elf64_Phdr> segments_;
  std::vector<char> notes_;
  std::string vmcoreinfo_;
  CoreReport report_;
};

}  // namespace

Result<CoreReport> write_core(Inferior& inferior, const std::string& path) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  UVMM_TRY(const CoreReport report, CoreWriter(inferior, file).write());
  if (!file.flush()) return Error(ErrorKind::System, "'" + path + "' cannot be written");
  return report;
}

}  // namespace vmm::debug
