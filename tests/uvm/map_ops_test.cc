#include <gtest/gtest.h>

#include "tests/uvm/fixture.h"

namespace test {
namespace map_ops_test {

using uvm::ErrorKind;
using uvm::Gpa;
using uvm::GpaRange;
using uvm::Protection;
using uvm::Sharing;

using MapOpsTest = SpaceFixture;

TEST_F(MapOpsTest, RamIsOneRangeFromTheStart) {
  EXPECT_OK(space.map(ram(pages(0, 1024))));
  EXPECT_EQ(guest.mmu.ranges(), 1U);
  EXPECT_OK(guest.cpu.write(page(5), pattern(kPage, 1)));
  EXPECT_EQ(guest.cpu.events(), 0U) << "the host fills zeros alone";
  EXPECT_TRUE(is_zero(guest.page_at(6)));
  EXPECT_TRUE(is_pattern(guest.page_at(5), 1));
}

TEST_F(MapOpsTest, RefusesBadRanges) {
  const Gpa end = space.limits().end();
  EXPECT_ERROR(space.map(ram(pages(1, 0))), ErrorKind::Invalid);
  EXPECT_ERROR(space.map(ram(*GpaRange::from_size(Gpa(1), kPage))), ErrorKind::Invalid);
  EXPECT_ERROR(space.map(ram(*GpaRange::from_size(Gpa(0), kPage + 1))), ErrorKind::Invalid);
  EXPECT_ERROR(space.map(ram(*GpaRange::from_size(end - kPage, 2 * kPage))), ErrorKind::Invalid);
  EXPECT_ERROR(space.map(ram(*GpaRange::from_size(Gpa(~std::uint64_t{0} << 12), kPage - 1))),
               ErrorKind::Invalid);
  EXPECT_ERROR(space.unmap(pages(0, 0)), ErrorKind::Invalid);
  EXPECT_ERROR(space.unmap(*GpaRange::from_size(end, kPage)), ErrorKind::Invalid);
  EXPECT_ERROR(space.protect(*GpaRange::from_size(Gpa(7), kPage), Protection::Read), ErrorKind::Invalid);
  EXPECT_TRUE(space.entries().empty());
}

TEST_F(MapOpsTest, RefusesBadRights) {
  uvm::MapRequest request = ram(pages(0, 1));
  request.protection = Protection::Write;
  EXPECT_ERROR(space.map(request), ErrorKind::Invalid);
  request.protection = Protection::All;
  request.max_protection = Protection::ReadWrite;
  EXPECT_ERROR(space.map(request), ErrorKind::Invalid);
  EXPECT_OK(space.map(ram(pages(0, 1))));
  EXPECT_ERROR(space.protect(pages(0, 1), Protection::Execute), ErrorKind::Invalid);
}

TEST_F(MapOpsTest, RefusesBadOffsets) {
  auto request = over(pages(0, 2), object(2));
  request.offset = uvm::ObjectOffset(12);
  EXPECT_ERROR(space.map(request), ErrorKind::Invalid);
  request.offset = uvm::ObjectOffset(~std::uint64_t{0} << 12);
  EXPECT_ERROR(space.map(request), ErrorKind::Invalid);
}

TEST_F(MapOpsTest, SharedMappingsRespectTheBacking) {
  pager = std::make_shared<FakePager>("read-only file", 4 * kPage, 7, Protection::Read);
  auto file = uvm::Object::create(pager);
  EXPECT_ERROR(space.map(over(pages(0, 4), file, Sharing::Shared)), ErrorKind::Protection);
  EXPECT_OK(space.map(over(pages(0, 4), file, Sharing::Private)));
  auto request = over(pages(8, 4), file, Sharing::Shared);
  request.protection = request.max_protection = Protection::Read;
  EXPECT_OK(space.map(request));
  EXPECT_ERROR(space.protect(pages(8, 4), Protection::ReadWrite), ErrorKind::Protection);
}

TEST_F(MapOpsTest, OverlapIsRefusedOrReplaced) {
  EXPECT_OK(space.map(ram(pages(0, 8), "first")));
  guest.write_pattern(1, 11);
  guest.write_pattern(4, 14);
  auto second = over(pages(2, 4), object(4), Sharing::Private);
  EXPECT_ERROR(space.map(second), ErrorKind::Busy);
  EXPECT_TRUE(is_pattern(guest.page_at(4), 14));
  second.overlap = uvm::Overlap::Replace;
  EXPECT_OK(space.map(second));
  ASSERT_EQ(space.entries().size(), 3U);
  EXPECT_TRUE(is_pattern(guest.page_at(1), 11)) << "outside: untouched";
  EXPECT_TRUE(is_pattern(guest.page_at(4), 102)) << "inside: the object";
  EXPECT_TRUE(is_zero(guest.page_at(7)));
}

TEST_F(MapOpsTest, AddressesNextToTheLimitWork) {
  SimMmu wide(kPage);
  const Gpa limit{uvm::kAddressLimit};
  auto made = uvm::Space::create("wide", wide, *GpaRange::from_bounds(Gpa(0), limit));
  ASSERT_TRUE(made);
  auto file = object(2);
  auto request = over(*GpaRange::from_size(limit - 2 * kPage, 2 * kPage), file, Sharing::Shared);
  EXPECT_OK((*made)->map(request));
  SimCpu cpu(**made, wide);
  EXPECT_EQ(cpu.load(limit - 8).has_value(), true);
  EXPECT_ERROR((*made)->fault(limit, uvm::AccessKind::Read), ErrorKind::NoMapping);
  EXPECT_ERROR((*made)->fault(Gpa(~std::uint64_t{0}), uvm::AccessKind::Read), ErrorKind::NoMapping);
  EXPECT_OK((*made)->unmap(request.range));
}

TEST_F(MapOpsTest, SpacesRefuseBadLimits) {
  const auto kind = [&](GpaRange limits) {
    auto made = uvm::Space::create("bad", guest.mmu, limits);
    return made ? ErrorKind::Guest : made.error().kind();
  };
  EXPECT_EQ(kind(pages(0, 0)), ErrorKind::Invalid);
  EXPECT_EQ(kind(*GpaRange::from_size(Gpa(0), 100)), ErrorKind::Invalid);
  EXPECT_EQ(kind(*GpaRange::from_size(Gpa(0), uvm::kAddressLimit + kPage)), ErrorKind::Invalid);
}

TEST_F(MapOpsTest, UnmapLosesPrivatePagesAndReachesTheTlb) {
  EXPECT_OK(space.map(ram(pages(0, 4))));
  guest.write_pattern(1, 1);
  EXPECT_OK(space.unmap(pages(1, 1)));
  EXPECT_ERROR(guest.cpu.load(page(1)), ErrorKind::NoMapping);
  EXPECT_EQ(guest.mmu.private_pages(), 0U);
  EXPECT_OK(space.map(ram(pages(1, 1))));
  EXPECT_TRUE(is_zero(guest.page_at(1)));
  EXPECT_EQ(space.entries().size(), 1U) << "merged again";
  EXPECT_OK(space.unmap(pages(0, 64))) << "holes are fine";
  EXPECT_TRUE(space.entries().empty());
}

TEST_F(MapOpsTest, ProtectLowersAtOnceAndRaisesByFault) {
  EXPECT_OK(space.map(ram(pages(0, 4))));
  guest.write_pattern(1, 1);
  EXPECT_OK(space.protect(pages(1, 2), Protection::Read));
  EXPECT_EQ(space.entries().size(), 3U);
  EXPECT_ERROR(guest.cpu.store(page(1), 5), ErrorKind::Protection);
  EXPECT_TRUE(is_pattern(guest.page_at(1), 1));
  EXPECT_OK(space.protect(pages(1, 2), Protection::None));
  EXPECT_ERROR(guest.cpu.load(page(1)), ErrorKind::Protection);
  EXPECT_OK(space.protect(pages(1, 2), Protection::All));
  EXPECT_EQ(space.entries().size(), 1U);
  EXPECT_TRUE(is_pattern(guest.page_at(1), 1)) << "the page was kept";
  guest.write_pattern(2, 2);
  EXPECT_TRUE(is_pattern(guest.page_at(2), 2));
}

TEST_F(MapOpsTest, ProtectIsAllOrNothing) {
  EXPECT_OK(space.map(ram(pages(0, 2))));
  auto low = ram(pages(2, 2), "rom");
  low.protection = low.max_protection = Protection::Read;
  EXPECT_OK(space.map(low));
  EXPECT_ERROR(space.protect(pages(0, 4), Protection::ReadWrite), ErrorKind::Protection);
  EXPECT_ERROR(space.protect(pages(0, 5), Protection::Read), ErrorKind::NoMapping);
  ASSERT_EQ(space.entries().size(), 2U);
  EXPECT_EQ(space.entries()[0].protection, Protection::All);
}

TEST_F(MapOpsTest, ProtectDoesNotHidePagesTheHostMade) {
  EXPECT_OK(space.map(over(pages(0, 4), object(4))));
  pager->store().set_writable(false);
  guest.write_pattern(1, 1);
  EXPECT_OK(space.protect(pages(0, 4), Protection::Read));
  space.drop_translations();
  EXPECT_TRUE(is_pattern(guest.page_at(0), 100));
  EXPECT_TRUE(is_pattern(guest.page_at(1), 1));
  EXPECT_TRUE(is_pattern(guest.page_at(2), 102));
  space.drop_translations();
  EXPECT_TRUE(is_pattern(guest.page_at(3), 103));
  EXPECT_TRUE(is_pattern(guest.page_at(1), 1)) << "nor those below the one that faults";
  EXPECT_OK(space.protect(pages(0, 4), Protection::ReadWrite));
  guest.write_pattern(2, 2);
  EXPECT_TRUE(is_pattern(guest.page_at(1), 1));
  EXPECT_TRUE(is_pattern(guest.page_at(2), 2));
  EXPECT_TRUE(is_pattern(pager->store().page(2), 102));
}

TEST_F(MapOpsTest, AFailingHostFailsTheMappingWhole) {
  guest.mmu.fail_enter_from(1);
  EXPECT_ERROR(space.map(ram(pages(0, 4))), ErrorKind::NoMemory);
  EXPECT_TRUE(space.entries().empty());
  guest.mmu.fail_enter_from(0);
  EXPECT_OK(space.map(ram(pages(0, 4))));
}

TEST_F(MapOpsTest, AFailingPagerIsTheTouchersProblem) {
  auto file = object(4);
  pager->fail_page(0, ErrorKind::PagerIo);
  EXPECT_OK(space.map(over(pages(0, 4), file)));
  EXPECT_ERROR(guest.cpu.load(page(0)), ErrorKind::PagerIo);
  EXPECT_TRUE(is_pattern(guest.page_at(1), 101));
  pager->clear_failures();
  EXPECT_TRUE(is_pattern(guest.page_at(0), 100));
}

TEST_F(MapOpsTest, ListingsSayWhatWasAsked) {
  auto request = over(pages(2, 2), object(8), Sharing::Shared, 3);
  request.name = "initrd";
  request.advice = uvm::Advice::Sequential;
  request.inherit = uvm::Inherit::Share;
  request.protection = Protection::Read;
  EXPECT_OK(space.map(request));
  const auto shown = space.entry_at(page(3));
  ASSERT_TRUE(shown);
  EXPECT_EQ(shown->name, "initrd");
  EXPECT_EQ(shown->object, "file");
  EXPECT_EQ(shown->offset, uvm::ObjectOffset(3 * kPage));
  EXPECT_EQ(shown->range, pages(2, 2));
  EXPECT_EQ(shown->sharing, Sharing::Shared);
  EXPECT_EQ(shown->protection, Protection::Read);
  EXPECT_EQ(shown->max_protection, Protection::All);
  EXPECT_EQ(shown->inherit, uvm::Inherit::Share);
  EXPECT_FALSE(space.entry_at(page(4)));
}

TEST_F(MapOpsTest, InheritAndAdviseClipAndMerge) {
  EXPECT_OK(space.map(ram(pages(0, 8))));
  EXPECT_OK(space.inherit(pages(2, 2), uvm::Inherit::None));
  EXPECT_OK(space.advise(pages(4, 1), uvm::Advice::Random));
  EXPECT_EQ(space.entries().size(), 4U);
  EXPECT_OK(space.inherit(pages(2, 2), uvm::Inherit::Copy));
  EXPECT_OK(space.advise(pages(4, 1), uvm::Advice::Normal));
  EXPECT_EQ(space.entries().size(), 1U);
  EXPECT_ERROR(space.inherit(pages(7, 2), uvm::Inherit::None), ErrorKind::NoMapping);
  EXPECT_ERROR(space.advise(pages(8, 1), uvm::Advice::Random), ErrorKind::NoMapping);
}

TEST_F(MapOpsTest, ASpaceOf64GiBCostsNextToNothing) {
  SimMmu wide(kPage);
  const auto range = *GpaRange::from_size(Gpa(0), std::uint64_t{64} << 30);
  auto made = uvm::Space::create("wide", wide, range);
  ASSERT_TRUE(made);
  EXPECT_OK((*made)->map(ram(range)));
  EXPECT_LT((*made)->metadata_bytes(), 4096U);
}

}  // namespace map_ops_test
}  // namespace test
