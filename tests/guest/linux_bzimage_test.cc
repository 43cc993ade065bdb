#include "guest/linux_bzimage.h"

#include <gtest/gtest.h>

#include <functional>

#include "guest/low_memory.h"
#include "tests/guest/images.h"

namespace guest {
namespace linux_bzimage_test {

using test::Bytes;
using test::expect_error;
using test::kBzCodeOffset;
using test::kBzCodeSize;
using test::kBzInitSize;
using test::kBzLoad;
using test::kGiB;
using test::kMiB;
using uvm::ErrorKind;
using uvm::Gpa;

/// `params` as the kernel would find it at RSI.
BootParams params_of(const LoadPlan& plan) {
  return test::peek<BootParams>(test::bytes_at(plan, plan.entry.rsi, sizeof(BootParams)), 0);
}

TEST(BzImage, LoadsTheCodeByReferenceAndReservesInitSize) {
  const Bytes kernel = test::make_bzimage();
  const LoadPlan plan = plan_boot(test::request(kernel)).value();
  const Segment* code = test::find(plan, "kernel");
  ASSERT_NE(code, nullptr);
  EXPECT_EQ(code->source, Segment::Source::FromKernel);
  EXPECT_EQ(code->gpa, Gpa(kBzLoad));
  EXPECT_EQ(code->file_offset, kBzCodeOffset);
  EXPECT_EQ(code->size, kBzCodeSize);
  EXPECT_TRUE(code->bytes.empty());
  EXPECT_EQ(plan.kernel.begin(), Gpa(kBzLoad));
  EXPECT_EQ(plan.kernel.size(), kBzInitSize);
}

TEST(BzImage, EntersAtStartup64WithBootParams) {
  const Bytes kernel = test::make_bzimage();
  BootRequest request = test::request(kernel);
  request.initrd_size = 0x12345;
  const LoadPlan plan = plan_boot(request).value();
  EXPECT_EQ(plan.entry.mode, CpuMode::Long64);
  EXPECT_EQ(plan.entry.rip, kBzLoad + 0x200);
  EXPECT_EQ(plan.protocol, "Linux bzImage, boot protocol 2.15, 64-bit entry");

  const BootParams params = params_of(plan);
  // "+": fields of a packed struct have no address that a reference may hold.
  EXPECT_EQ(+params.hdr.boot_flag, kBootFlag);
  EXPECT_EQ(+params.hdr.version, 0x20f);
  EXPECT_EQ(+params.hdr.type_of_loader, 0xff);
  EXPECT_EQ(+params.sentinel, 0);
  EXPECT_EQ(+params.acpi_rsdp_addr, 0xe0000u);
  EXPECT_EQ(test::text_at(plan, params.hdr.cmd_line_ptr), "console=ttyS0");
  ASSERT_TRUE(plan.initrd.has_value());
  EXPECT_EQ(+params.hdr.ramdisk_image, plan.initrd->begin().value());
  EXPECT_EQ(+params.hdr.ramdisk_size, 0x12345u);
}

TEST(BzImage, BootParamsHoldTheMemoryMap) {
  const Bytes kernel = test::make_bzimage();
  const LoadPlan plan = plan_boot(test::request(kernel, 5 * kGiB)).value();
  const BootParams params = params_of(plan);
  ASSERT_EQ(params.e820_entries, plan.e820.size());
  for (std::size_t i = 0; i < plan.e820.size(); ++i) {
    const std::uint64_t addr = params.e820_table[i].addr;
    const std::uint64_t size = params.e820_table[i].size;
    const std::uint32_t type = params.e820_table[i].type;
    EXPECT_EQ(addr, plan.e820[i].range.begin().value());
    EXPECT_EQ(size, plan.e820[i].range.size());
    EXPECT_EQ(type, static_cast<std::uint32_t>(plan.e820[i].type));
  }
}

TEST(BzImage, LongerHeadersKeepTheirTail) {
  SetupHeader header = test::bz_header();
  header.jump_offset = 0x280 - 0x202;
  Bytes kernel = test::make_bzimage(header);
  test::poke(kernel, 0x27c, std::uint32_t{0xfeedface});
  const LoadPlan plan = plan_boot(test::request(kernel)).value();
  EXPECT_EQ(test::object_in<std::uint32_t>(plan, "boot_params", 0x27c), 0xfeedfaceu);
}

TEST(BzImage, WithoutXlfKernel64EntersIn32Bit) {
  SetupHeader header = test::bz_header();
  header.xloadflags = 0;
  const Bytes kernel = test::make_bzimage(header);
  const LoadPlan plan = plan_boot(test::request(kernel)).value();
  EXPECT_EQ(plan.entry.mode, CpuMode::Protected32);
  EXPECT_EQ(plan.entry.rip, kBzLoad);
  EXPECT_EQ(plan.entry.rsi, low_memory::kBootParams.value());
  EXPECT_EQ(plan.entry.rbx | plan.entry.rbp | plan.entry.rdi, 0u);
}

TEST(BzImage, BeforePrefAddressLoadsAtOneMiB) {
  SetupHeader header = test::bz_header();
  header.version = 0x206;
  header.jump_offset = 0x23c - 0x202;
  header.relocatable_kernel = 0;
  const Bytes kernel = test::make_bzimage(header);
  const LoadPlan plan = plan_boot(test::request(kernel)).value();
  EXPECT_EQ(plan.entry.rip, 0x100000u);
  EXPECT_EQ(plan.protocol, "Linux bzImage, boot protocol 2.06, 32-bit entry");
}

TEST(BzImage, SetupSectsZeroMeansFour) {
  SetupHeader header = test::bz_header();
  header.setup_sects = 0;
  header.syssize = 0x400 / 16;
  Bytes kernel = test::make_bzimage(header);
  kernel.resize(5 * 512 + 0x400);
  const LoadPlan plan = plan_boot(test::request(kernel)).value();
  EXPECT_EQ(test::find(plan, "kernel")->file_offset, 5 * 512u);
}

TEST(BzImage, ASignatureBehindTheCodeIsNotLoaded) {
  Bytes kernel = test::make_bzimage();
  kernel.resize(kernel.size() + 1472);
  const LoadPlan plan = plan_boot(test::request(kernel)).value();
  EXPECT_EQ(test::find(plan, "kernel")->size, kBzCodeSize);
}

TEST(BzImage, RelocatableMovesToTheNextAlignedRam) {
  SetupHeader header = test::bz_header();
  const Bytes kernel = test::make_bzimage(header);
  BootRequest request = test::request(kernel);
  request.memory.reserved.push_back({*uvm::GpaRange::from_size(Gpa(kBzLoad), 0x1000), E820Type::Reserved});
  const LoadPlan plan = plan_boot(request).value();
  EXPECT_EQ(plan.kernel.begin(), Gpa(kBzLoad + 0x200000));
  EXPECT_EQ(plan.entry.rip, kBzLoad + 0x200200);

  header.relocatable_kernel = 0;
  const Bytes fixed = test::make_bzimage(header);
  request.kernel = fixed;
  expect_error(plan_boot(request), ErrorKind::NoMemory, "pref_address");
}

/// A kernel whose code begins on a page of the file: seven setup sectors after the boot sector.
Bytes page_aligned_bzimage(SetupHeader header = test::bz_header()) {
  header.setup_sects = 7;
  Bytes kernel = test::make_bzimage(header);
  kernel.resize(uvm::kPageSize + kBzCodeSize);
  return kernel;
}

TEST(BzImage, RelocatableCodeOnAPageOfItsFileStaysBelowTheWindow) {
  const LoadPlan plan = plan_boot(test::request(page_aligned_bzimage())).value();
  EXPECT_EQ(test::find(plan, "kernel")->gpa, Gpa(kMiB));
  EXPECT_EQ(plan.entry.rip, kMiB + 0x200);
  const Segment* work = test::find(plan, "kernel work area");
  ASSERT_NE(work, nullptr);
  EXPECT_EQ(work->gpa, Gpa(kBzLoad));  // the whole window, for the decompressor
  EXPECT_EQ(work->size, kBzInitSize);
  EXPECT_EQ(plan.kernel, *uvm::GpaRange::from_bounds(Gpa(kMiB), Gpa(kBzLoad + kBzInitSize)));
}

TEST(BzImage, CodeThatMustOrMayNotMoveIsLoadedAtItsWindow) {
  SetupHeader fixed = test::bz_header();
  fixed.relocatable_kernel = 0;
  EXPECT_EQ(plan_boot(test::request(page_aligned_bzimage(fixed)))->entry.rip, kBzLoad + 0x200);
  SetupHeader only32 = test::bz_header();
  only32.xloadflags = 0;
  EXPECT_EQ(plan_boot(test::request(page_aligned_bzimage(only32)))->entry.rip, kBzLoad);
  // Too large for the room below the window.
  SetupHeader large = test::bz_header();
  large.pref_address = 2 * kMiB;
  large.syssize = (kMiB + uvm::kPageSize) / 16;
  Bytes kernel = page_aligned_bzimage(large);
  kernel.resize(2 * uvm::kPageSize + kMiB);
  EXPECT_EQ(plan_boot(test::request(kernel))->entry.rip, 2 * kMiB + 0x200);
}

TEST(BzImage, TooLittleRamSaysHowMuchWouldDo) {
  const Bytes kernel = test::make_bzimage();
  expect_error(plan_boot(test::request(kernel, 16 * kMiB)), ErrorKind::NoMemory, "give at least -m 18M");
  EXPECT_TRUE(plan_boot(test::request(kernel, 18 * kMiB)).has_value());
}

TEST(BzImage, CommandLineLimitIsTheHeaders) {
  const Bytes kernel = test::make_bzimage();
  BootRequest request = test::request(kernel);
  request.cmdline = std::string(255, 'x');
  EXPECT_TRUE(plan_boot(request).has_value());
  request.cmdline += 'x';
  expect_error(plan_boot(request), ErrorKind::Invalid, "has 256 bytes, the kernel takes at most 255");
}

TEST(BzImage, InitrdStaysBelowInitrdAddrMax) {
  SetupHeader header = test::bz_header();
  header.initrd_addr_max = 0x37ffffff;
  const Bytes kernel = test::make_bzimage(header);
  BootRequest request = test::request(kernel, 2 * kGiB);
  request.initrd_size = 0x1001;
  const LoadPlan plan = plan_boot(request).value();
  EXPECT_EQ(plan.initrd->begin(), Gpa(0x38000000 - 0x2000));
}

TEST(BzImage, RefusesOneBadFieldAtATime) {
  struct Case {
    std::function<void(SetupHeader&)> damage;
    ErrorKind kind;
    std::string_view expected;
  };
  const std::vector<Case> cases{
      {[](auto& h) { h.version = 0x205; }, ErrorKind::Unsupported, "boot protocol 2.05 is older than 2.06"},
      {[](auto& h) { h.loadflags = 0; }, ErrorKind::Unsupported, "zImage"},
      {[](auto& h) { h.jump_offset = 0; }, ErrorKind::Invalid, "setup header ends at 0x202"},
      {[](auto& h) { h.jump_offset = 0xff; }, ErrorKind::Invalid, "setup header ends at 0x301"},
      {[](auto& h) { h.setup_sects = 3; }, ErrorKind::Invalid, "setup_sects 3"},
      {[](auto& h) { h.setup_sects = 0xff; }, ErrorKind::Invalid, "setup_sects 255"},
      {[](auto& h) { h.syssize = kBzCodeSize / 16 + 1; }, ErrorKind::Invalid, "syssize 0x41"},
      {[](auto& h) { h.syssize = 0xffffffff; }, ErrorKind::Invalid, "syssize 0xffffffff"},
      {[](auto& h) { h.syssize = 1; }, ErrorKind::Invalid, "64-bit entry at +0x200"},
      {[](auto& h) { h.kernel_alignment = 0; }, ErrorKind::Invalid, "kernel_alignment 0x0"},
      {[](auto& h) { h.kernel_alignment = 0x300000; }, ErrorKind::Invalid, "kernel_alignment 0x300000"},
      {[](auto& h) { h.pref_address = ~std::uint64_t{0}; }, ErrorKind::Invalid, "0xffffffffffffffff"},
      {[](auto& h) { h.pref_address = 0xf0000000; }, ErrorKind::NoMemory, "0xf0000000 (pref_address)"},
      {[](auto& h) { h.init_size = 0xffffffff; }, ErrorKind::Invalid, "4294967295 bytes (init_size)"},
  };
  for (const Case& bad : cases) {
    SetupHeader header = test::bz_header();
    bad.damage(header);
    const Bytes kernel = test::make_bzimage(header);
    expect_error(plan_boot(test::request(kernel)), bad.kind, bad.expected);
  }
}

// A kernel that wants to live where we put our tables is told so, not silently overwritten.
TEST(BzImage, RefusesAKernelOverTheLowTables) {
  SetupHeader header = test::bz_header();
  header.relocatable_kernel = 0;
  header.pref_address = 0x8000;
  header.init_size = 0x1000;
  const Bytes kernel = test::make_bzimage(header);
  expect_error(plan_boot(test::request(kernel)), ErrorKind::Invalid, "overlaps");
}

TEST(BzImage, EveryTruncationIsAnError) {
  const Bytes kernel = test::make_bzimage();
  for (std::size_t size = 0; size < kernel.size() - 15; ++size) {
    const Bytes cut(kernel.begin(), kernel.begin() + static_cast<std::ptrdiff_t>(size));
    BootRequest request = test::request(cut);
    request.format = KernelFormat::BzImage;
    const auto plan = plan_boot(request);
    ASSERT_FALSE(plan.has_value()) << size;
    EXPECT_EQ(plan.error().kind(), ErrorKind::Invalid) << size;
  }
}

}  // namespace linux_bzimage_test
}  // namespace guest
