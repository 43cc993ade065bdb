#include "guest/load_plan.h"

#include <gtest/gtest.h>

#include "guest/plan_check.h"
#include "tests/guest/images.h"

namespace guest {
namespace load_plan_test {

using test::Bytes;
using test::expect_error;
using test::kGiB;
using test::kMiB;
using uvm::ErrorKind;
using uvm::Gpa;

TEST(Segment, WholePagesOfTheFileAreMappable) {
  const Segment segment = Segment::from_kernel("s", Gpa(0x100800), 0x3000, 0x5800);
  EXPECT_EQ(uvm::to_string(segment.mappable_pages()), "0x101000+0x2000");
  EXPECT_EQ(segment.file_offset_of(segment.mappable_pages().begin()), 0x6000u);
}

TEST(Segment, NothingIsMappableWhenOffsetsDisagree) {
  EXPECT_TRUE(Segment::from_kernel("s", Gpa(0x100000), 0x3000, 0x5200).mappable_pages().empty());
}

TEST(Segment, LessThanAPageIsCopied) {
  EXPECT_TRUE(Segment::from_kernel("s", Gpa(0x100010), 0x1fe0, 0x10).mappable_pages().empty());
  EXPECT_TRUE(Segment::from_kernel("s", Gpa(0x100000), 0xfff, 0).mappable_pages().empty());
  EXPECT_EQ(Segment::from_kernel("s", Gpa(0x100000), 0x1000, 0).mappable_pages().pages(), 1u);
}

TEST(Segment, GeneratedBytesAndZeroesAreNotMappable) {
  EXPECT_TRUE(Segment::from_bytes("b", Gpa(0x1000), Bytes(0x1000)).mappable_pages().empty());
  EXPECT_TRUE(Segment::zero("z", Gpa(0x1000), 0x1000).mappable_pages().empty());
}

TEST(Segment, TheEndOfTheAddressSpaceDoesNotWrap) {
  EXPECT_EQ(Segment::zero("z", Gpa(~std::uint64_t{0}), 2).range(), std::nullopt);
  EXPECT_TRUE(Segment::from_kernel("s", Gpa(~std::uint64_t{0}), 1, 0xfff).mappable_pages().empty());
}

TEST(DetectFormat, ByMagic) {
  EXPECT_EQ(detect_format(test::make_bzimage()), KernelFormat::BzImage);
  EXPECT_EQ(detect_format(test::make_elf()), KernelFormat::Elf64);
  EXPECT_EQ(detect_format(test::make_pvh()), KernelFormat::Pvh);
  EXPECT_EQ(detect_format(test::make_multiboot_elf()), KernelFormat::Multiboot);
  EXPECT_EQ(detect_format(test::make_multiboot_kludge()), KernelFormat::Multiboot);
  EXPECT_EQ(detect_format(Bytes(4096)), std::nullopt);
  EXPECT_EQ(detect_format({}), std::nullopt);
}

TEST(DetectFormat, MultibootWinsOverPvh) {
  Bytes both = test::make_pvh();
  test::put_multiboot_header(both, 0);
  EXPECT_EQ(detect_format(both), KernelFormat::Multiboot);
}

TEST(PlanBoot, AutoPlansEveryRecognisedFormat) {
  const std::vector<Bytes> kernels{test::make_bzimage(), test::make_elf(), test::make_pvh(),
                                   test::make_multiboot_elf(), test::make_multiboot_kludge()};
  for (const Bytes& kernel : kernels) {
    const auto plan = plan_boot(test::request(kernel));
    ASSERT_TRUE(plan.has_value()) << plan.error().text();
    EXPECT_EQ(plan->format, detect_format(kernel));
    EXPECT_FALSE(plan->protocol.empty());
    EXPECT_FALSE(plan->e820.empty());
  }
}

TEST(PlanBoot, TheSameRequestGivesTheSamePlan) {
  const Bytes kernel = test::make_pvh();
  const auto first = plan_boot(test::request(kernel)).value();
  const auto second = plan_boot(test::request(kernel)).value();
  ASSERT_EQ(first.segments.size(), second.segments.size());
  for (std::size_t i = 0; i < first.segments.size(); ++i) {
    EXPECT_EQ(first.segments[i].range(), second.segments[i].range());
    EXPECT_EQ(first.segments[i].bytes, second.segments[i].bytes);
  }
}

TEST(PlanBoot, NamesTheFileAndWhatItSeemsToBe) {
  struct Case {
    std::string_view start, expected;
  };
  for (const auto& [start, expected] :
       {Case{"", "is empty"}, Case{"\x1f\x8b\x08", "gzip"}, Case{"\x28\xb5\x2f\xfd", "zstd"},
        Case{"\xfd\x37\x7a\x58", "xz"}, Case{"MZ\x90", "EFI"}, Case{"hello", "no known magic"}}) {
    const Bytes kernel = ByteWriter().text(start).zeros(start.empty() ? 0 : 600).take();
    const auto plan = plan_boot(test::request(kernel));
    expect_error(plan, ErrorKind::Invalid, expected);
    expect_error(plan, ErrorKind::Invalid, "kernel /boot/test: ");
  }
}

TEST(PlanBoot, ForcedFormatIsNotGuessed) {
  const Bytes elf = test::make_elf();
  BootRequest request = test::request(elf);
  request.format = KernelFormat::BzImage;
  expect_error(plan_boot(request), ErrorKind::Invalid, "HdrS");
  request.format = KernelFormat::Multiboot;
  expect_error(plan_boot(request), ErrorKind::Invalid, "no multiboot header");
  request.format = KernelFormat::Pvh;
  expect_error(plan_boot(request), ErrorKind::Unsupported, "no PVH note");
}

TEST(PlanBoot, LoadAddressIsForFlatImages) {
  const Bytes kernel = test::make_bzimage();
  BootRequest request = test::request(kernel);
  request.load_address = Gpa(0x200000);
  expect_error(plan_boot(request), ErrorKind::Invalid, "load address (0x200000)");
}

TEST(PlanCheck, SortsAndAccepts) {
  const Bytes kernel(0x100);
  LoadPlan plan;
  plan.segments = {Segment::zero("b", Gpa(0x200000), 0x1000),
                   Segment::from_kernel("a", Gpa(0x100000), 0x100, 0)};
  ASSERT_TRUE(check_plan(plan, test::request(kernel)).has_value());
  EXPECT_EQ(plan.segments.front().name, "a");
}

TEST(PlanCheck, RefusesOneSegmentAtATime) {
  struct Case {
    Segment segment;
    ErrorKind kind;
    std::string_view expected;
  };
  const Bytes kernel(0x100);
  const std::uint64_t top = ~std::uint64_t{0};
  for (const Case& bad : {
           Case{Segment::from_kernel("x", Gpa(0x100000), 0x101, 0), ErrorKind::Invalid,
                "past the file's 256 bytes"},
           Case{Segment::from_kernel("x", Gpa(0x100000), 2, top), ErrorKind::Invalid,
                "past the file's 256 bytes"},
           Case{Segment::zero("x", Gpa(top), 2), ErrorKind::Invalid, "2^52"},
           Case{Segment::zero("x", Gpa(uvm::kAddressLimit - 1), 2), ErrorKind::Invalid, "2^52"},
           Case{Segment::zero("x", Gpa(128 * kMiB - 1), 2), ErrorKind::NoMemory, "usable RAM (0x0+0x9fc00, "},
           Case{Segment::zero("x", Gpa(0x9f000), 0x1000), ErrorKind::NoMemory, "usable RAM"},
           Case{Segment::zero("x", Gpa(0x3f0fff), 2), ErrorKind::Invalid,
                "overlaps other (4096 bytes at 0x3f0000)"},
       }) {
    LoadPlan plan;
    plan.segments = {Segment::zero("other", Gpa(0x3f0000), 0x1000), bad.segment};
    expect_error(check_plan(plan, test::request(kernel)), bad.kind, bad.expected);
  }
}

}  // namespace load_plan_test
}  // namespace guest
