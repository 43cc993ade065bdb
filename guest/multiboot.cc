#include "guest/multiboot.h"

#include <algorithm>
#include <string>

#include "guest/byte_view.h"
#include "guest/byte_writer.h"
#include "guest/cmdline.h"
#include "guest/cpu_setup.h"
#include "guest/elf_image.h"
#include "guest/initrd.h"
#include "guest/low_memory.h"
#include "guest/plan_check.h"

namespace guest {
namespace {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Gpa;

constexpr std::uint32_t kWantsAlignedModules = 1u << 0;
constexpr std::uint32_t kWantsMemoryInfo = 1u << 1;
constexpr std::uint32_t kWantsVideo = 1u << 2;
constexpr std::uint32_t kRequiredFeatures = 0xffff;
constexpr std::uint32_t kHasAddressFields = 1u << 16;

constexpr std::uint32_t kInfoMemory = 1u << 0;
constexpr std::uint32_t kInfoCmdline = 1u << 2;
constexpr std::uint32_t kInfoModules = 1u << 3;
constexpr std::uint32_t kInfoMemoryMap = 1u << 6;
constexpr std::uint32_t kInfoLoaderName = 1u << 9;

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kCommandLineLimit = low_memory::kCommandLineBytes - 1;

struct AddressFields {
  std::uint32_t header_addr;
  std::uint32_t load_addr;
  std::uint32_t load_end_addr;  // 0: the whole file
  std::uint32_t bss_end_addr;   // 0: no bss
  std::uint32_t entry_addr;
};

Error contradiction(const std::string& what) {
  return {ErrorKind::Invalid, "multiboot address fields: " + what, "correct the kernel's multiboot header"};
}

/// Adds what the address fields describe and returns the entry point.
uvm::Result<Gpa> add_by_address_fields(LoadPlan& plan, const BootRequest& request, std::uint64_t header) {
  const ByteView file(request.kernel);
  UVMM_TRY(const auto fields, file.field<AddressFields>(header + 12, "multiboot address fields"));
  if (fields.load_addr > fields.header_addr || fields.header_addr - fields.load_addr > header) {
    return contradiction("load_addr " + uvm::hex(fields.load_addr) + " and header_addr " +
                         uvm::hex(fields.header_addr) + " put the start before the file (header at offset " +
                         uvm::hex(header) + ")");
  }
  const std::uint64_t offset = header - (fields.header_addr - fields.load_addr);
  std::uint64_t size = file.size() - offset;
  if (fields.load_end_addr != 0) {
    if (fields.load_end_addr <= fields.load_addr) {
      return contradiction("load_end_addr " + uvm::hex(fields.load_end_addr) + " is not above load_addr " +
                           uvm::hex(fields.load_addr));
    }
    size = fields.load_end_addr - fields.load_addr;
  }
  if (!file.holds(offset, size)) return file.truncated("multiboot load_end_addr: the text", offset, size);
  const Gpa begin(fields.load_addr);
  plan.segments.push_back(Segment::from_kernel("kernel", begin, size, offset));
  const Gpa end = begin + size;
  if (fields.bss_end_addr != 0) {
    if (Gpa(fields.bss_end_addr) < end) {
      return contradiction("bss_end_addr " + uvm::hex(fields.bss_end_addr) +
                           " is below the end of the text " + uvm::hex(end.value()));
    }
    const std::uint64_t bss = Gpa(fields.bss_end_addr) - end;
    if (bss != 0) plan.segments.push_back(Segment::zero("kernel bss", end, bss));
  }
  UVMM_CHECK(check_plan(plan, request));
  span_kernel(plan);
  return Gpa(fields.entry_addr);
}

uvm::Result<Gpa> add_by_elf(LoadPlan& plan, const BootRequest& request) {
  if (!is_elf(request.kernel)) {
    return Error(ErrorKind::Invalid,
                 "multiboot header without address fields (flag bit 16) in a file that is no ELF",
                 "set bit 16 and the five address fields, or link the kernel as ELF");
  }
  UVMM_TRY(const ElfImage image, ElfImage::parse(request.kernel));
  UVMM_CHECK(add_elf_segments(plan, image, request));
  return image.physical_entry();
}

uvm::Status check_features(std::uint32_t flags) {
  if ((flags & kWantsVideo) != 0) {
    return Error(ErrorKind::Unsupported, "the multiboot header requires a video mode (flag bit 2)",
                 "clear the bit: the machine has a serial port and no display");
  }
  const std::uint32_t unknown = flags & kRequiredFeatures & ~(kWantsAlignedModules | kWantsMemoryInfo);
  if (unknown != 0) {
    return Error(
        ErrorKind::Unsupported,
        "the multiboot header's flags " + uvm::hex(flags) + " require unknown features " + uvm::hex(unknown),
        "clear those bits: version 0.6.96 defines bits 0, 1, 2 and 16");
  }
  return uvm::ok();
}

/// KiB of the usable RAM that begins at `from`; 0 when none does.
std::uint32_t kib_from(const MemoryLayout& memory, Gpa from) {
  for (const uvm::GpaRange ram : memory.usable()) {
    if (ram.begin() == from)
      return static_cast<std::uint32_t>(std::min<std::uint64_t>(ram.size() / kKiB, 0xffffffff));
  }
  return 0;
}

/// Information structure, module entry, its name, memory map, loader name: one segment.
uvm::Status add_info(LoadPlan& plan, const BootRequest& request) {
  constexpr std::string_view kLoaderName("uvmm\0", 5);
  constexpr std::string_view kModuleName("initrd\0", 7);
  plan.e820 = request.memory.e820();
  ByteWriter writer;
  writer.zeros(sizeof(MultibootInfo));
  const auto here = [&writer] {
    return static_cast<std::uint32_t>((low_memory::kMultibootInfo + writer.size()).value());
  };

  MultibootInfo info{};
  info.flags = kInfoMemory | kInfoCmdline | kInfoModules | kInfoMemoryMap | kInfoLoaderName;
  info.mem_lower = kib_from(request.memory, Gpa(0));
  info.mem_upper = kib_from(request.memory, low_memory::kEnd);
  info.cmdline = static_cast<std::uint32_t>(low_memory::kCommandLine.value());
  info.mods_addr = here();
  if (plan.initrd) {
    info.mods_count = 1;
    const auto name = static_cast<std::uint32_t>(here() + sizeof(MultibootModule));
    writer.put(MultibootModule{static_cast<std::uint32_t>(plan.initrd->begin().value()),
                               static_cast<std::uint32_t>(plan.initrd->end().value()), name, 0});
    writer.text(kModuleName).u8(0);  // 8 bytes: what follows stays aligned
  }
  info.mmap_addr = here();
  for (const E820Entry& entry : plan.e820) {
    writer.put(MultibootMmapEntry{sizeof(MultibootMmapEntry) - sizeof(std::uint32_t),
                                  entry.range.begin().value(), entry.range.size(),
                                  static_cast<std::uint32_t>(entry.type)});
  }
  info.mmap_length = here() - info.mmap_addr;
  info.boot_loader_name = here();
  writer.text(kLoaderName);
  writer.patch(0, info);
  if (Gpa(here()) > low_memory::kMultibootInfoEnd) {
    return Error(
        ErrorKind::Invalid,
        "a memory map of " + std::to_string(plan.e820.size()) + " entries doesn't fit the multiboot area",
        "use fewer reserved ranges");
  }
  plan.segments.push_back(Segment::from_bytes("multiboot info", low_memory::kMultibootInfo, writer.take()));
  return uvm::ok();
}

}  // namespace

std::optional<std::uint64_t> find_multiboot_header(std::span<const std::byte> kernel) {
  const ByteView file(kernel.first(std::min<std::size_t>(kernel.size(), kMultibootSearch)));
  for (std::uint64_t at = 0; file.holds(at, 12); at += 4) {
    if (*file.read<std::uint32_t>(at) != kMultibootHeaderMagic) continue;
    const std::uint32_t flags = *file.read<std::uint32_t>(at + 4);
    const std::uint32_t checksum = *file.read<std::uint32_t>(at + 8);
    if (kMultibootHeaderMagic + flags + checksum == 0) return at;
  }
  return std::nullopt;
}

uvm::Result<LoadPlan> plan_multiboot(const BootRequest& request) {
  const auto header = find_multiboot_header(request.kernel);
  if (!header) {
    return Error(ErrorKind::Invalid, "no multiboot header with a good checksum in the first 8192 bytes",
                 "link the header section first, aligned to 4 bytes (multiboot 2 is another format)");
  }
  UVMM_TRY(const auto flags, ByteView(request.kernel).field<std::uint32_t>(*header + 4, "multiboot flags"));
  UVMM_CHECK(check_features(flags));

  LoadPlan plan;
  plan.format = KernelFormat::Multiboot;
  const bool by_fields = (flags & kHasAddressFields) != 0;
  plan.protocol = by_fields ? "multiboot 1, address fields" : "multiboot 1, ELF";
  UVMM_TRY(const Gpa entry,
           by_fields ? add_by_address_fields(plan, request, *header) : add_by_elf(plan, request));
  if (!plan.kernel.contains(entry) || plan.kernel.end().value() > low_memory::kIdentityMapped) {
    return Error(ErrorKind::Invalid,
                 "the entry point " + uvm::hex(entry.value()) + " lies outside the kernel " +
                     uvm::to_string(plan.kernel) + ", or that passes 4 GiB",
                 "correct entry_addr or the link addresses");
  }
  UVMM_CHECK(place_initrd(plan, request, Gpa(low_memory::kIdentityMapped)));
  const std::string arguments = request.cmdline.empty() ? "" : " " + request.cmdline;
  UVMM_CHECK(add_cmdline(plan, request.kernel_name + arguments, kCommandLineLimit));
  UVMM_CHECK(add_info(plan, request));
  enter_protected_mode(plan, static_cast<std::uint32_t>(entry.value()));
  plan.entry.rax = kMultibootLoaderMagic;
  plan.entry.rbx = low_memory::kMultibootInfo.value();
  return plan;
}

}  // namespace guest
