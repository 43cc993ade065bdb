#include "guest/pvh.h"

#include <string>

#include "guest/byte_view.h"
#include "guest/byte_writer.h"
#include "guest/cmdline.h"
#include "guest/cpu_setup.h"
#include "guest/initrd.h"
#include "guest/low_memory.h"

namespace guest {
namespace {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Gpa;

/// start_info, then the module list (none or one), then the memory map, in one segment.
uvm::Status add_start_info(LoadPlan& plan, const BootRequest& request) {
  plan.e820 = request.memory.e820();
  const Gpa modules = low_memory::kStartInfo + sizeof(StartInfo);
  const std::uint32_t module_count = plan.initrd ? 1 : 0;
  const Gpa map = modules + module_count * sizeof(StartModule);

  StartInfo info{};
  info.magic = kStartInfoMagic;
  info.version = 1;
  info.nr_modules = module_count;
  info.modlist_paddr = plan.initrd ? modules.value() : 0;
  info.cmdline_paddr = low_memory::kCommandLine.value();
  info.rsdp_paddr = request.acpi_rsdp.value();
  info.memmap_paddr = map.value();
  info.memmap_entries = static_cast<std::uint32_t>(plan.e820.size());

  ByteWriter writer;
  writer.put(info);
  if (plan.initrd) writer.put(StartModule{plan.initrd->begin().value(), plan.initrd->size(), 0, 0});
  for (const E820Entry& entry : plan.e820) {
    writer.put(StartMemmapEntry{entry.range.begin().value(), entry.range.size(),
                                static_cast<std::uint32_t>(entry.type), 0});
  }
  if (low_memory::kStartInfo + writer.size() > low_memory::kMultibootInfo) {
    return Error(
        ErrorKind::Invalid,
        "a memory map of " + std::to_string(plan.e820.size()) + " entries doesn't fit the PVH start info",
        "use fewer reserved ranges");
  }
  plan.segments.push_back(Segment::from_bytes("pvh start info", low_memory::kStartInfo, writer.take()));
  return uvm::ok();
}

}  // namespace

std::optional<std::uint64_t> pvh_entry(const ElfImage& image) {
  const auto note = image.find_note("Xen", kNotePhys32Entry);
  if (!note) return std::nullopt;
  // As wide as the kernel's pointers: 4 or 8 bytes.
  const ByteView view(note->descriptor);
  if (view.size() == 8) return view.read<std::uint64_t>(0);
  if (const auto entry = view.read<std::uint32_t>(0); entry && view.size() == 4) return *entry;
  return std::nullopt;
}

uvm::Result<LoadPlan> plan_pvh(const BootRequest& request) {
  UVMM_TRY(const ElfImage image, ElfImage::parse(request.kernel));
  const auto entry = pvh_entry(image);
  if (!entry) {
    return Error(ErrorKind::Unsupported, "the ELF has no PVH note (XEN_ELFNOTE_PHYS32_ENTRY)",
                 "build Linux with CONFIG_PVH=y, or use --format elf64");
  }
  LoadPlan plan;
  plan.format = KernelFormat::Pvh;
  plan.protocol = "ELF, PVH start info version 1";
  UVMM_CHECK(add_elf_segments(plan, image, request));
  if (!plan.kernel.contains(Gpa(*entry)) || *entry >= low_memory::kIdentityMapped) {
    return Error(ErrorKind::Invalid,
                 "the PVH note's entry " + uvm::hex(*entry) + " lies outside the kernel " +
                     uvm::to_string(plan.kernel) + " or above 4 GiB",
                 "the file is damaged; build it again");
  }
  UVMM_CHECK(place_initrd(plan, request, Gpa(low_memory::kIdentityMapped)));
  UVMM_CHECK(add_cmdline(plan, request.cmdline, kLinuxCommandLineLimit));
  UVMM_CHECK(add_start_info(plan, request));
  enter_protected_mode(plan, static_cast<std::uint32_t>(*entry));
  plan.entry.rbx = low_memory::kStartInfo.value();
  return plan;
}

}  // namespace guest
