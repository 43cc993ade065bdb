#include "uvm/access.h"

#include <gtest/gtest.h>

#include "tests/uvm/fixture.h"

namespace test {
namespace access_test {

using uvm::Access;
using uvm::AccessKind;
using uvm::ErrorKind;
using uvm::Gpa;
using uvm::GpaRange;

using AccessTest = SpaceFixture;

TEST_F(AccessTest, CopiesAcrossPagesAndMappings) {
  EXPECT_OK(space.map(ram(pages(0, 2))));
  EXPECT_OK(space.map(over(pages(2, 2), object(2))));
  pager->store().set_writable(false);
  const auto bytes = pattern(2 * kPage, 5);
  EXPECT_OK(Access::write(space, page(1) + 100, bytes));
  std::vector<std::byte> seen(bytes.size());
  EXPECT_OK(guest.cpu.read(page(1) + 100, seen));
  EXPECT_EQ(seen, bytes);
  std::fill(seen.begin(), seen.end(), std::byte{});
  EXPECT_OK(Access::read(space, page(1) + 100, seen));
  EXPECT_EQ(seen, bytes);
  EXPECT_TRUE(is_pattern(pager->store().page(0), 100));
}

TEST_F(AccessTest, SeesWhatTheGuestWroteAndTheOtherWayRound) {
  EXPECT_OK(space.map(ram(pages(0, 4))));
  EXPECT_OK(guest.cpu.store(page(2) + 8, 0x1122334455667788U));
  EXPECT_EQ(Access::read_value<std::uint64_t>(space, page(2) + 8).value(), 0x1122334455667788U);
  EXPECT_OK(Access::write_value<std::uint32_t>(space, page(2) + 8, 0xabcdU));
  EXPECT_EQ(guest.cpu.load(page(2) + 8).value(), 0x112233440000abcdU);
  EXPECT_OK(Access::fill(space, *GpaRange::from_size(page(2) + 1, kPage), std::byte{0x5a}));
  EXPECT_EQ(guest.byte_at(page(3)), std::byte{0x5a});
  EXPECT_EQ(guest.byte_at(page(3) + 1), std::byte{0});
}

TEST_F(AccessTest, RespectsRightsAndHoles) {
  auto rom = ram(pages(0, 1), "rom");
  rom.protection = uvm::Protection::Read;
  EXPECT_OK(space.map(rom));
  std::vector<std::byte> bytes(2 * kPage);
  EXPECT_OK(Access::read(space, page(0), std::span(bytes).first(kPage)));
  EXPECT_ERROR(Access::write(space, page(0), bytes), ErrorKind::Protection);
  EXPECT_ERROR(Access::read(space, page(0), bytes), ErrorKind::NoMapping);
  EXPECT_ERROR(Access::read(space, Gpa(~std::uint64_t{0}), bytes), ErrorKind::Invalid);
  EXPECT_ERROR(Access::read(space, space.limits().end() - 1, bytes), ErrorKind::NoMapping);
  EXPECT_OK(Access::read(space, page(9), {})) << "nothing asked, nothing refused";
  EXPECT_ERROR(Access::open(space, pages(0, 0), AccessKind::Read), ErrorKind::Invalid);
}

TEST_F(AccessTest, AnOpenRangeStays) {
  EXPECT_OK(space.map(ram(pages(0, 8))));
  {
    auto opened = Access::open(space, pages(2, 3), AccessKind::Write);
    ASSERT_TRUE(opened);
    auto second = Access::open(space, pages(2, 1), AccessKind::Read);
    ASSERT_TRUE(second) << "several at once";
    ASSERT_EQ(opened->bytes().size(), 3 * kPage);
    fill_pattern(opened->bytes(), 3);
    EXPECT_ERROR(space.unmap(pages(4, 1)), ErrorKind::Busy);
    EXPECT_ERROR(space.protect(pages(0, 8), uvm::Protection::Read), ErrorKind::Busy);
    auto request = ram(pages(3, 1));
    request.overlap = uvm::Overlap::Replace;
    EXPECT_ERROR(space.map(request), ErrorKind::Busy);
    EXPECT_OK(space.unmap(pages(6, 2))) << "next to it is fine";
    Access moved = std::move(*opened);
    EXPECT_ERROR(space.unmap(pages(4, 1)), ErrorKind::Busy);
  }
  EXPECT_EQ(space.entries().size(), 1U) << "refused changes leave the map alone";
  std::vector<std::byte> seen(3 * kPage);
  EXPECT_OK(guest.cpu.read(page(2), seen));
  EXPECT_TRUE(is_pattern(seen, 3));
  EXPECT_OK(space.unmap(pages(0, 8)));
}

TEST_F(AccessTest, AFailedOpenKeepsNothingOpen) {
  EXPECT_OK(space.map(ram(pages(0, 2))));
  EXPECT_ERROR(Access::open(space, pages(1, 2), AccessKind::Read), ErrorKind::NoMapping);
  EXPECT_OK(space.unmap(pages(0, 2)));
}

TEST_F(AccessTest, MixedBackingsAreCopiedNotShown) {
  EXPECT_OK(space.map(over(pages(0, 2), object(2), uvm::Sharing::Shared)));
  EXPECT_OK(space.map(ram(pages(2, 1))));
  EXPECT_OK(Access::open(space, pages(0, 2), AccessKind::Read));
  EXPECT_ERROR(Access::open(space, pages(1, 2), AccessKind::Read), ErrorKind::Unsupported);
}

}  // namespace access_test
}  // namespace test
