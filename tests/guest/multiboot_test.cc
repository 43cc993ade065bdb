#include "guest/multiboot.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/guest/images.h"

namespace guest {
namespace multiboot_test {

using test::Bytes;
using test::expect_error;
using test::kGiB;
using test::kMiB;
using test::MbAddresses;
using uvm::ErrorKind;

MultibootInfo info_of(const LoadPlan& plan) {
  return test::peek<MultibootInfo>(test::bytes_at(plan, plan.entry.rbx, sizeof(MultibootInfo)), 0);
}

TEST(Multiboot, ElfEntersWithMagicAndInfo) {
  const Bytes kernel = test::make_multiboot_elf();
  const LoadPlan plan = plan_boot(test::request(kernel)).value();
  EXPECT_EQ(plan.protocol, "multiboot 1, ELF");
  EXPECT_EQ(plan.entry.mode, CpuMode::Protected32);
  EXPECT_EQ(plan.entry.rip, 0x100010u);
  EXPECT_EQ(plan.entry.rax, kMultibootLoaderMagic);
  EXPECT_EQ(uvm::to_string(plan.kernel), "0x100000+0x180");
}

TEST(Multiboot, AddressFieldsSayWhatToLoad) {
  const Bytes kernel = test::make_multiboot_kludge();
  const LoadPlan plan = plan_boot(test::request(kernel)).value();
  EXPECT_EQ(plan.protocol, "multiboot 1, address fields");
  const Segment* text = test::find(plan, "kernel");
  ASSERT_NE(text, nullptr);
  EXPECT_EQ(text->file_offset, 0x80u);
  EXPECT_EQ(uvm::to_string(*text->range()), "0x100000+0x200");
  EXPECT_EQ(uvm::to_string(*test::find(plan, "kernel bss")->range()), "0x100200+0x100");
  EXPECT_EQ(plan.entry.rip, 0x100010u);
}

TEST(Multiboot, LoadEndZeroTakesTheWholeFile) {
  const Bytes kernel = test::make_multiboot_kludge({.load_end_addr = 0, .bss_end_addr = 0});
  const LoadPlan plan = plan_boot(test::request(kernel)).value();
  EXPECT_EQ(test::find(plan, "kernel")->size, kernel.size() - 0x80);
  EXPECT_EQ(test::find(plan, "kernel bss"), nullptr);
}

TEST(Multiboot, InfoTellsMemoryModulesAndNames) {
  const Bytes kernel = test::make_multiboot_elf();
  BootRequest request = test::request(kernel, 5 * kGiB);
  request.initrd_size = 4097;
  const LoadPlan plan = plan_boot(request).value();
  const MultibootInfo info = info_of(plan);
  EXPECT_EQ(info.flags, 0x24du);
  EXPECT_EQ(info.mem_lower, 639u);
  EXPECT_EQ(info.mem_upper, 3 * kGiB / 1024 - 1024);
  EXPECT_EQ(test::text_at(plan, info.cmdline), "/boot/test console=ttyS0");
  EXPECT_EQ(test::text_at(plan, info.boot_loader_name), "uvmm");
  ASSERT_EQ(info.mods_count, 1u);
  const auto module =
      test::peek<MultibootModule>(test::bytes_at(plan, info.mods_addr, sizeof(MultibootModule)), 0);
  EXPECT_EQ(module.mod_start, plan.initrd->begin().value());
  EXPECT_EQ(module.mod_end - module.mod_start, 4097u);
  EXPECT_EQ(module.mod_start % 4096, 0u);
  EXPECT_EQ(test::text_at(plan, module.string), "initrd");
}

TEST(Multiboot, MemoryMapIsTheE820) {
  const Bytes kernel = test::make_multiboot_elf();
  const LoadPlan plan = plan_boot(test::request(kernel, 5 * kGiB)).value();
  const MultibootInfo info = info_of(plan);
  ASSERT_EQ(info.mmap_length, plan.e820.size() * sizeof(MultibootMmapEntry));
  std::uint64_t at = info.mmap_addr;
  for (const E820Entry& expected : plan.e820) {
    const auto entry =
        test::peek<MultibootMmapEntry>(test::bytes_at(plan, at, sizeof(MultibootMmapEntry)), 0);
    const std::uint64_t addr = entry.addr;
    const std::uint64_t length = entry.length;
    EXPECT_EQ(addr, expected.range.begin().value());
    EXPECT_EQ(length, expected.range.size());
    at += entry.size + sizeof(std::uint32_t);
  }
}

TEST(Multiboot, HeaderIsFoundToTheLastPlaceAndNotBeyond) {
  const Bytes header = ByteWriter().u32(kMultibootHeaderMagic).u32(0).u32(0u - kMultibootHeaderMagic).take();
  for (const std::size_t at : {std::size_t{0}, std::size_t{4}, std::size_t{8192 - 12}}) {
    Bytes file(16384);
    std::copy(header.begin(), header.end(), file.begin() + static_cast<std::ptrdiff_t>(at));
    EXPECT_EQ(find_multiboot_header(file), at);
  }
  for (const std::size_t at : {std::size_t{2}, std::size_t{8192 - 8}, std::size_t{8192}}) {
    Bytes file(16384);
    std::copy(header.begin(), header.end(), file.begin() + static_cast<std::ptrdiff_t>(at));
    EXPECT_EQ(find_multiboot_header(file), std::nullopt);
  }
}

TEST(Multiboot, AWrongChecksumIsNoHeader) {
  Bytes kernel = test::make_multiboot_elf();
  test::poke(kernel, test::kMbHeader + 8, std::uint32_t{0});
  EXPECT_EQ(find_multiboot_header(kernel), std::nullopt);
}

TEST(Multiboot, RefusesFeaturesWeLack) {
  Bytes kernel = test::make_multiboot_elf(4);
  expect_error(plan_boot(test::request(kernel)), ErrorKind::Unsupported, "video mode (flag bit 2)");
  kernel = test::make_multiboot_elf(0x108);
  expect_error(plan_boot(test::request(kernel)), ErrorKind::Unsupported, "unknown features 0x108");
}

TEST(Multiboot, OptionalFeaturesAreIgnored) {
  const Bytes kernel = test::make_multiboot_elf(0x80020003);
  EXPECT_TRUE(plan_boot(test::request(kernel)).has_value());
}

TEST(Multiboot, AFileThatIsNoElfNeedsAddressFields) {
  Bytes kernel(0x400);
  test::put_multiboot_header(kernel, 0);
  expect_error(plan_boot(test::request(kernel)), ErrorKind::Invalid, "without address fields");
}

TEST(Multiboot, RefusesOneBadAddressFieldAtATime) {
  struct Case {
    MbAddresses addresses;
    ErrorKind kind;
    std::string_view expected;
  };
  for (const Case& bad : {
           Case{{.header_addr = 0x0fffff}, ErrorKind::Invalid, "load_addr 0x100000 and header_addr 0xfffff"},
           Case{{.header_addr = 0x100104}, ErrorKind::Invalid, "put the start before the file"},
           Case{{.load_end_addr = 0x100000}, ErrorKind::Invalid, "load_end_addr 0x100000 is not above"},
           Case{{.load_end_addr = 0x100381},
                ErrorKind::Invalid,
                "multiboot load_end_addr: the text at offset 0x80"},
           Case{{.load_end_addr = 0xffffffff}, ErrorKind::Invalid, "load_end_addr"},
           Case{{.bss_end_addr = 0x1001ff}, ErrorKind::Invalid, "bss_end_addr 0x1001ff is below"},
           Case{{.bss_end_addr = 0xffffffff}, ErrorKind::NoMemory, "usable RAM"},
           Case{{.entry_addr = 0x100300}, ErrorKind::Invalid, "entry point 0x100300"},
           Case{{.entry_addr = 0}, ErrorKind::Invalid, "entry point 0x0"},
       }) {
    const Bytes kernel = test::make_multiboot_kludge(bad.addresses);
    expect_error(plan_boot(test::request(kernel)), bad.kind, bad.expected);
  }
}

TEST(Multiboot, AddressFieldsPastTheFileAreAnError) {
  Bytes kernel = test::make_multiboot_kludge();
  kernel.resize(test::kMbHeader + 31);
  expect_error(plan_boot(test::request(kernel)), ErrorKind::Invalid, "multiboot address fields");
}

}  // namespace multiboot_test
}  // namespace guest
