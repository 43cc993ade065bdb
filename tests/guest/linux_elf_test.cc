#include "guest/linux_elf.h"

#include <gtest/gtest.h>

#include "tests/guest/images.h"

namespace guest {
namespace linux_elf_test {

using test::Bytes;
using test::ElfPart;
using test::ElfSpec;
using test::expect_error;
using test::kGiB;
using uvm::ErrorKind;

TEST(LinuxElf, EntersAtTheElfEntryWithAMadeUpHeader) {
  const Bytes kernel = test::make_elf();
  BootRequest request = test::request(kernel);
  request.initrd_size = 5000;
  const LoadPlan plan = plan_boot(request).value();
  EXPECT_EQ(plan.format, KernelFormat::Elf64);
  EXPECT_EQ(plan.entry.mode, CpuMode::Long64);
  EXPECT_EQ(plan.entry.rip, 0x1000000u);
  const auto params = test::object_in<BootParams>(plan, "boot_params");
  // "+": fields of a packed struct have no address that a reference may hold.
  EXPECT_EQ(+params.hdr.header, kHeaderMagic);
  EXPECT_EQ(+params.hdr.boot_flag, kBootFlag);
  EXPECT_NE(+params.hdr.type_of_loader, 0);  // Linux ignores an initrd from loader type 0
  EXPECT_EQ(+params.hdr.ramdisk_image, plan.initrd->begin().value());
  EXPECT_EQ(+params.hdr.ramdisk_size, 5000u);
  EXPECT_EQ(test::text_at(plan, params.hdr.cmd_line_ptr), "console=ttyS0");
}

TEST(LinuxElf, CommandLineLimitIs2047) {
  const Bytes kernel = test::make_elf();
  BootRequest request = test::request(kernel);
  request.cmdline = std::string(2047, 'x');
  EXPECT_TRUE(plan_boot(request).has_value());
  request.cmdline += 'x';
  expect_error(plan_boot(request), ErrorKind::Invalid, "2048 bytes, the kernel takes at most 2047");
}

TEST(LinuxElf, A32BitElfIsRefusedWithAWayOut) {
  ElfSpec spec;
  spec.bits = 32;
  spec.machine = 3;
  spec.parts = {ElfPart{.virtual_address = 0x100000, .physical = 0x100000}};
  const Bytes kernel = test::make_elf(spec);
  expect_error(plan_boot(test::request(kernel)), ErrorKind::Unsupported, "multiboot header");
}

TEST(LinuxElf, AnEntryAboveTheIdentityMapIsRefused) {
  ElfSpec spec;
  spec.parts = {ElfPart{.physical = 4 * kGiB}};
  spec.entry = 4 * kGiB;
  const Bytes kernel = test::make_elf(spec);
  expect_error(plan_boot(test::request(kernel, 8 * kGiB)), ErrorKind::Unsupported, "above 4 GiB");
}

}  // namespace linux_elf_test
}  // namespace guest
