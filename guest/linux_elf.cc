#include "guest/linux_elf.h"

#include <string>

#include "guest/cmdline.h"
#include "guest/cpu_setup.h"
#include "guest/elf_image.h"
#include "guest/initrd.h"
#include "guest/low_memory.h"
#include "guest/zero_page.h"

namespace guest {

uvm::Result<LoadPlan> plan_elf64(const BootRequest& request) {
  UVMM_TRY(const ElfImage image, ElfImage::parse(request.kernel));
  if (image.elf_class != ElfClass::Elf64 || image.machine != ElfImage::kMachineX8664) {
    return uvm::Error(
        uvm::ErrorKind::Unsupported, "a 32-bit ELF without multiboot header or PVH note has no boot protocol",
        "add a multiboot header within the first 8192 bytes, or give a 64-bit vmlinux or a bzImage");
  }
  UVMM_TRY(const uvm::Gpa entry, image.physical_entry());
  if (entry.value() >= low_memory::kIdentityMapped) {
    return uvm::Error(uvm::ErrorKind::Unsupported,
                      "the entry point " + uvm::hex(entry.value()) + " lies above 4 GiB",
                      "link the kernel to lower physical addresses");
  }
  LoadPlan plan;
  plan.format = KernelFormat::Elf64;
  plan.protocol = "ELF, 64-bit Linux protocol";
  UVMM_CHECK(add_elf_segments(plan, image, request));
  UVMM_CHECK(place_initrd(plan, request, uvm::Gpa(low_memory::kIdentityMapped)));
  const SetupHeader header = synthetic_header();
  UVMM_CHECK(add_zero_page(plan, request, std::as_bytes(std::span(&header, 1)), kLinuxCommandLineLimit));
  enter_long_mode(plan, entry.value());
  plan.entry.rsi = low_memory::kBootParams.value();
  return plan;
}

}  // namespace guest
