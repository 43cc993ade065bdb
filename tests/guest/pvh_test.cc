#include "guest/pvh.h"

#include <gtest/gtest.h>

#include "tests/guest/images.h"

namespace guest {
namespace pvh_test {

using test::Bytes;
using test::expect_error;
using uvm::ErrorKind;

TEST(Pvh, EntersAtTheNotesAddressIn32Bit) {
  const Bytes kernel = test::make_pvh();
  const LoadPlan plan = plan_boot(test::request(kernel)).value();
  EXPECT_EQ(plan.format, KernelFormat::Pvh);
  EXPECT_EQ(plan.entry.mode, CpuMode::Protected32);
  EXPECT_EQ(plan.entry.rip, test::kPvhEntry);
}

TEST(Pvh, StartInfoLeadsToEverything) {
  const Bytes kernel = test::make_pvh();
  BootRequest request = test::request(kernel);
  request.initrd_size = 4097;
  const LoadPlan plan = plan_boot(request).value();
  const auto info = test::peek<StartInfo>(test::bytes_at(plan, plan.entry.rbx, sizeof(StartInfo)), 0);
  EXPECT_EQ(info.magic, kStartInfoMagic);
  EXPECT_EQ(info.version, 1u);
  EXPECT_EQ(info.rsdp_paddr, 0xe0000u);
  EXPECT_EQ(test::text_at(plan, info.cmdline_paddr), "console=ttyS0");
  ASSERT_EQ(info.nr_modules, 1u);
  const auto module =
      test::peek<StartModule>(test::bytes_at(plan, info.modlist_paddr, sizeof(StartModule)), 0);
  EXPECT_EQ(module.paddr, plan.initrd->begin().value());
  EXPECT_EQ(module.size, 4097u);
  ASSERT_EQ(info.memmap_entries, plan.e820.size());
  for (std::size_t i = 0; i < plan.e820.size(); ++i) {
    const auto entry = test::peek<StartMemmapEntry>(
        test::bytes_at(plan, info.memmap_paddr + i * sizeof(StartMemmapEntry), sizeof(StartMemmapEntry)), 0);
    EXPECT_EQ(entry.addr, plan.e820[i].range.begin().value());
    EXPECT_EQ(entry.size, plan.e820[i].range.size());
    EXPECT_EQ(entry.type, static_cast<std::uint32_t>(plan.e820[i].type));
  }
}

TEST(Pvh, WithoutInitrdThereIsNoModule) {
  const Bytes kernel = test::make_pvh();
  const LoadPlan plan = plan_boot(test::request(kernel)).value();
  const auto info = test::object_in<StartInfo>(plan, "pvh start info");
  EXPECT_EQ(info.nr_modules, 0u);
  EXPECT_EQ(info.modlist_paddr, 0u);
}

TEST(Pvh, TheNoteMayBe4BytesWide) {
  const Bytes kernel =
      test::make_elf_with_notes(test::make_note("Xen", kNotePhys32Entry, to_bytes(test::kPvhEntry)));
  EXPECT_EQ(plan_boot(test::request(kernel)).value().entry.rip, test::kPvhEntry);
}

TEST(Pvh, ANoteOfAnotherWidthIsNone) {
  const Bytes kernel = test::make_elf_with_notes(test::make_note("Xen", kNotePhys32Entry, Bytes(2)));
  EXPECT_EQ(detect_format(kernel), KernelFormat::Elf64);
}

TEST(Pvh, AnEntryOutsideTheKernelIsRefused) {
  for (const std::uint64_t entry : {std::uint64_t{0}, std::uint64_t{0x1000180}, ~std::uint64_t{0}}) {
    const Bytes kernel = test::make_elf_with_notes(test::make_note("Xen", kNotePhys32Entry, to_bytes(entry)));
    expect_error(plan_boot(test::request(kernel)), ErrorKind::Invalid, "the PVH note's entry");
  }
}

}  // namespace pvh_test
}  // namespace guest
