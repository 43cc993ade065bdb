// Command line and initrd: what every protocol shares.
#include <gtest/gtest.h>

#include "guest/cmdline.h"
#include "guest/initrd.h"
#include "guest/low_memory.h"
#include "tests/guest/images.h"

namespace guest {
namespace cmdline_initrd_test {

using test::Bytes;
using test::expect_error;
using test::kGiB;
using test::kMiB;
using uvm::ErrorKind;
using uvm::Gpa;
using uvm::GpaRange;

TEST(CommandLine, EndsWithANul) {
  LoadPlan plan;
  ASSERT_TRUE(add_cmdline(plan, "", 10).has_value());
  EXPECT_EQ(plan.segments.at(0).bytes, Bytes(1));
}

TEST(CommandLine, TooLongNamesBothNumbers) {
  LoadPlan plan;
  expect_error(add_cmdline(plan, "12345678901", 10), ErrorKind::Invalid,
               "has 11 bytes, the kernel takes at most 10");
  EXPECT_TRUE(add_cmdline(plan, "1234567890", 10).has_value());
}

TEST(CommandLine, OurOwnSpaceIsALimitToo) {
  LoadPlan plan;
  const std::string text(low_memory::kCommandLineBytes, 'x');
  expect_error(add_cmdline(plan, text, ~std::uint64_t{0}), ErrorKind::Invalid, "at most 65535");
}

TEST(CommandLine, AnEmbeddedNulIsRefused) {
  LoadPlan plan;
  expect_error(add_cmdline(plan, std::string_view("ab\0c", 4), 10), ErrorKind::Invalid,
               "NUL byte at offset 2");
}

/// A plan whose kernel takes [16 MiB, 18 MiB).
LoadPlan with_kernel() {
  LoadPlan plan;
  plan.kernel = *GpaRange::from_size(Gpa(16 * kMiB), 2 * kMiB);
  return plan;
}

BootRequest with_initrd(std::uint64_t ram, std::uint64_t size) {
  BootRequest request;
  request.memory = test::layout(ram);
  request.initrd_size = size;
  return request;
}

TEST(Initrd, GoesToTheTopOnAPageBoundary) {
  LoadPlan plan = with_kernel();
  ASSERT_TRUE(place_initrd(plan, with_initrd(64 * kMiB, 4097), Gpa(4 * kGiB)).has_value());
  EXPECT_EQ(plan.initrd->begin(), Gpa(64 * kMiB - 0x2000));
  EXPECT_EQ(plan.initrd->size(), 4097u);
  ASSERT_EQ(plan.segments.size(), 1u);
  EXPECT_EQ(plan.segments[0].source, Segment::Source::FromInitrd);
  EXPECT_EQ(plan.segments[0].mappable_pages().pages(), 1u);
}

TEST(Initrd, StaysBelowTheMmioHoleOfALargeGuest) {
  LoadPlan plan = with_kernel();
  ASSERT_TRUE(place_initrd(plan, with_initrd(64 * kGiB, kMiB), Gpa(4 * kGiB)).has_value());
  EXPECT_EQ(plan.initrd->end(), Gpa(3 * kGiB));
}

TEST(Initrd, NoInitrdIsNoError) {
  LoadPlan plan = with_kernel();
  ASSERT_TRUE(place_initrd(plan, with_initrd(64 * kMiB, 0), Gpa(4 * kGiB)).has_value());
  EXPECT_FALSE(plan.initrd.has_value());
  EXPECT_TRUE(plan.segments.empty());
}

TEST(Initrd, GoesBelowTheKernelWhenThereIsNoRoomAbove) {
  LoadPlan plan = with_kernel();
  ASSERT_TRUE(place_initrd(plan, with_initrd(19 * kMiB, 2 * kMiB), Gpa(4 * kGiB)).has_value());
  EXPECT_EQ(plan.initrd->end(), Gpa(16 * kMiB));
}

TEST(Initrd, ExactFitsAreUsed) {
  LoadPlan plan = with_kernel();
  ASSERT_TRUE(place_initrd(plan, with_initrd(34 * kMiB, 16 * kMiB), Gpa(4 * kGiB)).has_value());
  EXPECT_EQ(plan.initrd->begin(), Gpa(18 * kMiB));
}

TEST(Initrd, TooLittleRamSaysHowMuchWouldDo) {
  LoadPlan plan = with_kernel();
  expect_error(place_initrd(plan, with_initrd(34 * kMiB, 16 * kMiB + 1), Gpa(4 * kGiB)), ErrorKind::NoMemory,
               "give at least -m 36M");
  EXPECT_TRUE(place_initrd(plan, with_initrd(36 * kMiB, 16 * kMiB + 1), Gpa(4 * kGiB)).has_value());
}

TEST(Initrd, MoreRamDoesNotHelpAgainstTheKernelsOwnLimit) {
  LoadPlan plan = with_kernel();
  expect_error(place_initrd(plan, with_initrd(8 * kGiB, 20 * kMiB), Gpa(32 * kMiB)), ErrorKind::NoMemory,
               "make the initrd smaller");
}

TEST(Initrd, AbsurdSizesDoNotWrap) {
  LoadPlan plan = with_kernel();
  expect_error(place_initrd(plan, with_initrd(kGiB, ~std::uint64_t{0}), Gpa(4 * kGiB)), ErrorKind::NoMemory,
               "18446744073709551615 bytes");
}

}  // namespace cmdline_initrd_test
}  // namespace guest
