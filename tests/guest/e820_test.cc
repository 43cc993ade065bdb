#include "guest/e820.h"

#include <gtest/gtest.h>

#include "guest/load_plan.h"
#include "tests/guest/images.h"

namespace guest {
namespace e820_test {

using test::kGiB;
using test::kMiB;
using uvm::ErrorKind;
using uvm::Gpa;
using uvm::GpaRange;

GpaRange range(std::uint64_t begin, std::uint64_t end) {
  return *GpaRange::from_bounds(Gpa(begin), Gpa(end));
}
const GpaRange kHole = range(3 * kGiB, 4 * kGiB);

TEST(MemoryLayout, SmallGuestIsOneRun) {
  const MemoryLayout layout = MemoryLayout::create(256 * kMiB, kHole).value();
  EXPECT_EQ(layout.ram, std::vector{range(0, 256 * kMiB)});
  EXPECT_EQ(layout.ram_bytes(), 256 * kMiB);
}

TEST(MemoryLayout, ExactlyUpToTheHoleLeavesNothingAbove) {
  const MemoryLayout layout = MemoryLayout::create(3 * kGiB, kHole).value();
  EXPECT_EQ(layout.ram, std::vector{range(0, 3 * kGiB)});
}

TEST(MemoryLayout, TheRestGoesOnAboveTheHole) {
  const MemoryLayout layout = MemoryLayout::create(64 * kGiB, kHole).value();
  EXPECT_EQ(layout.ram, (std::vector{range(0, 3 * kGiB), range(4 * kGiB, 65 * kGiB)}));
  EXPECT_EQ(layout.ram_bytes(), 64 * kGiB);
}

TEST(MemoryLayout, RefusesWhatIsNoRam) {
  test::expect_error(MemoryLayout::create(256 * kMiB + 1, kHole), ErrorKind::Invalid, "4096-byte pages");
  test::expect_error(MemoryLayout::create(0, kHole), ErrorKind::Invalid, "at least 1M");
  test::expect_error(MemoryLayout::create(kMiB - 4096, kHole), ErrorKind::Invalid, "at least 1M");
}

TEST(MemoryLayout, RefusesMoreThanTheAddressWidth) {
  constexpr std::uint64_t kLimit = std::uint64_t{1} << 36;
  EXPECT_TRUE(MemoryLayout::create(kLimit - kGiB, kHole, kLimit).has_value());
  test::expect_error(MemoryLayout::create(kLimit - kGiB + 4096, kHole, kLimit), ErrorKind::Invalid,
                     "give at most 0xfc0000000 bytes");
  test::expect_error(MemoryLayout::create(~std::uint64_t{4095}, kHole), ErrorKind::Invalid, "address limit");
}

TEST(MemoryLayout, MapShowsThePcHoleAndReservedRanges) {
  MemoryLayout layout = MemoryLayout::create(5 * kGiB, kHole).value();
  layout.reserved.push_back({range(0xe0000000, 0xf0000000), E820Type::Reserved});
  const std::vector<E820Entry> expected{
      {range(0, 0x9fc00), E820Type::Ram},
      {range(0x9fc00, 0xa0000), E820Type::Reserved},
      {range(0xe0000, 0x100000), E820Type::Reserved},
      {range(kMiB, 3 * kGiB), E820Type::Ram},
      {range(0xe0000000, 0xf0000000), E820Type::Reserved},
      {range(4 * kGiB, 6 * kGiB), E820Type::Ram},
  };
  EXPECT_EQ(layout.e820(), expected);
}

TEST(MemoryLayout, ReservedInsideRamSplitsIt) {
  MemoryLayout layout = MemoryLayout::create(16 * kMiB, kHole).value();
  layout.reserved.push_back({range(2 * kMiB, 3 * kMiB), E820Type::AcpiNvs});
  EXPECT_EQ(layout.usable(),
            (std::vector{range(0, 0x9fc00), range(kMiB, 2 * kMiB), range(3 * kMiB, 16 * kMiB)}));
}

}  // namespace e820_test
}  // namespace guest
