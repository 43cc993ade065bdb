#include "guest/flat.h"

#include <gtest/gtest.h>

#include "guest/low_memory.h"
#include "tests/guest/images.h"

namespace guest {
namespace flat_test {

using test::Bytes;
using test::expect_error;
using test::kGiB;
using test::kMiB;
using uvm::ErrorKind;
using uvm::Gpa;

BootRequest real_request(const Bytes& image) {
  BootRequest request = test::request(image, kMiB);
  request.format = KernelFormat::FlatReal;
  request.cmdline.clear();
  return request;
}

BootRequest long_request(const Bytes& image) {
  BootRequest request = test::request(image);
  request.format = KernelFormat::FlatLong;
  return request;
}

TEST(FlatReal, StartsLikeABootSector) {
  const Bytes image(512, std::byte{0xf4});
  const LoadPlan plan = plan_boot(real_request(image)).value();
  ASSERT_EQ(plan.segments.size(), 1u);
  EXPECT_EQ(plan.segments[0].gpa, Gpa(0x7c00));
  EXPECT_EQ(plan.segments[0].source, Segment::Source::FromKernel);
  EXPECT_EQ(plan.entry.mode, CpuMode::Real16);
  EXPECT_EQ(plan.entry.cs.base, 0u);
  EXPECT_EQ(plan.entry.rip, 0x7c00u);
  EXPECT_EQ(plan.entry.rsp, 0x7c00u);
}

TEST(FlatReal, AboveSixtyFourKiBTheSegmentCarriesTheAddress) {
  const Bytes image(512);
  BootRequest request = real_request(image);
  request.load_address = Gpa(0x12340);
  const LoadPlan plan = plan_boot(request).value();
  EXPECT_EQ(plan.entry.cs.selector, 0x1234);
  EXPECT_EQ(plan.entry.cs.base, 0x12340u);
  EXPECT_EQ(plan.entry.rip, 0u);
}

TEST(FlatReal, RefusesAddressesRealModeCannotStartAt) {
  const Bytes image(512);
  BootRequest request = real_request(image);
  for (const std::uint64_t address : {std::uint64_t{0}, std::uint64_t{0xfff}, std::uint64_t{0x10008},
                                      std::uint64_t{0x9fc00}, std::uint64_t{0x100000}, ~std::uint64_t{0}}) {
    request.load_address = Gpa(address);
    expect_error(plan_boot(request), ErrorKind::Invalid, "load address " + uvm::hex(address));
  }
}

TEST(FlatReal, RefusesWhatDoesNotFitOrCannotBeHandedOver) {
  const Bytes large(0x9fc00 - 0x7c00 + 1);
  expect_error(plan_boot(real_request(large)), ErrorKind::NoMemory, "usable RAM");
  expect_error(plan_boot(real_request({})), ErrorKind::Invalid, "empty");
  const Bytes image(512);
  BootRequest request = real_request(image);
  request.cmdline = "x";
  expect_error(plan_boot(request), ErrorKind::Invalid, "no command line");
  request.cmdline.clear();
  request.initrd_size = 1;
  expect_error(plan_boot(request), ErrorKind::Invalid, "no initrd");
}

TEST(FlatLong, IsCalledLikeAFunctionWithBootParams) {
  const Bytes image(5000);
  BootRequest request = long_request(image);
  request.initrd_size = 100;
  const LoadPlan plan = plan_boot(request).value();
  EXPECT_EQ(plan.entry.mode, CpuMode::Long64);
  EXPECT_EQ(plan.entry.rip, 0x100000u);
  EXPECT_EQ(plan.entry.rdi, low_memory::kBootParams.value());
  EXPECT_EQ(plan.entry.rsp % 16, 8u);
  const auto params = test::object_in<BootParams>(plan, "boot_params");
  // "+": fields of a packed struct have no address that a reference may hold.
  EXPECT_EQ(+params.hdr.ramdisk_size, 100u);
  EXPECT_EQ(test::text_at(plan, params.hdr.cmd_line_ptr), "console=ttyS0");
  const Segment* stack = test::find(plan, "stack");
  ASSERT_NE(stack, nullptr);
  EXPECT_TRUE(stack->range()->contains(Gpa(plan.entry.rsp)));
}

TEST(FlatLong, TheImageIsMappableWhereItsAddressIsPageAligned) {
  const Bytes image(5000);
  EXPECT_EQ(test::find(plan_boot(long_request(image)).value(), "image")->mappable_pages().pages(), 1u);
}

TEST(FlatLong, RefusesOurTablesHolesAndHighMemory) {
  const Bytes image(0x2000);
  BootRequest request = long_request(image);
  request.load_address = Gpa(0x7000);
  expect_error(plan_boot(request), ErrorKind::Invalid, "overlaps");
  request.load_address = Gpa(0x1f000);  // into the stack
  expect_error(plan_boot(request), ErrorKind::Invalid, "overlaps");
  request.load_address = Gpa(3 * kGiB);
  expect_error(plan_boot(request), ErrorKind::NoMemory, "usable RAM");
  request.memory = test::layout(8 * kGiB);
  request.load_address = Gpa(4 * kGiB);
  expect_error(plan_boot(request), ErrorKind::Invalid, "passes 4 GiB");
  request.load_address = Gpa(~std::uint64_t{0});
  expect_error(plan_boot(request), ErrorKind::Invalid, "2^52");
}

}  // namespace flat_test
}  // namespace guest
