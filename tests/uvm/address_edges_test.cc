// Every operation at the edges of what an address can be: 0, the space's limits, 2^52, 2^64.
#include <gtest/gtest.h>

#include "tests/uvm/pin_fixture.h"

namespace test {
namespace address_edges_test {

using uvm::ErrorKind;
using uvm::Gpa;
using uvm::GpaRange;

constexpr std::uint64_t kLimit = uvm::kAddressLimit;

/// Ranges that reach past 2^52, or are made of addresses that do.
std::vector<GpaRange> ranges_beyond() {
  constexpr std::uint64_t kTop = ~std::uint64_t{0} - kPage + 1;
  const auto range = [](std::uint64_t begin, std::uint64_t end) {
    return *GpaRange::from_bounds(Gpa(begin), Gpa(end));
  };
  return {range(kLimit, kLimit + kPage), range(kLimit - kPage, kLimit + kPage), range(0, kTop),
          range(kTop - kPage, kTop), range(kLimit - kPage, kTop)};
}

TEST(AddressEdges, NoRangeAndNoSpaceWraps) {
  EXPECT_FALSE(GpaRange::from_size(Gpa(~std::uint64_t{0}), 2));
  EXPECT_FALSE(GpaRange::from_size(Gpa(kPage), ~std::uint64_t{0}));
  EXPECT_TRUE(GpaRange::page_of(Gpa(~std::uint64_t{0})).empty());
  SimMmu mmu(kPage);
  for (const GpaRange& limits : ranges_beyond()) {
    EXPECT_ERROR(uvm::Space::create("far", mmu, limits), ErrorKind::Invalid);
  }
}

TEST(AddressEdges, TheLastPageBelowTheLimitIsAPageLikeOthers) {
  SimMmu mmu(kPage);  // private pages need a window; a shared object does not
  auto space = uvm::Space::create("wide", mmu, *GpaRange::from_bounds(Gpa(0), Gpa(kLimit))).value();
  const auto last = *GpaRange::from_bounds(Gpa(kLimit - 2 * kPage), Gpa(kLimit));
  auto pager = std::make_shared<FakePager>("o", 2 * kPage, 100);
  EXPECT_OK(space->map(over(last, uvm::Object::create(pager), uvm::Sharing::Shared)));
  EXPECT_OK(space->fault(Gpa(kLimit - 1), uvm::AccessKind::Write));
  EXPECT_ERROR(space->fault(Gpa(kLimit), uvm::AccessKind::Read), ErrorKind::NoMapping);
  EXPECT_ERROR(space->fault(Gpa(~std::uint64_t{0}), uvm::AccessKind::Read), ErrorKind::NoMapping);
  std::vector<std::byte> bytes(kPage);
  EXPECT_OK(uvm::Access::read(*space, Gpa(kLimit - kPage), bytes, uvm::kDebugger));
  EXPECT_TRUE(is_pattern(bytes, 101));
  const auto past = uvm::Access::read_some(*space, Gpa(kLimit - 10), bytes, uvm::kDebugger);
  EXPECT_EQ(past.bytes, 10U);
  EXPECT_ERROR(past.status, ErrorKind::NoMapping);
  EXPECT_ERROR(space->reshare(Gpa(~std::uint64_t{0})), ErrorKind::NoMapping);
  EXPECT_ERROR(space->reshare(Gpa(kLimit)), ErrorKind::NoMapping);
  EXPECT_OK(space->protect(last, uvm::Protection::Read));
  EXPECT_OK(space->unmap(*GpaRange::from_bounds(Gpa(0), Gpa(kLimit))));
}

TEST(AddressEdges, EveryOperationRefusesWhatLiesBeyond) {
  SimArena arena;
  Guest guest(arena);
  Guest other(arena, "other");
  uvm::Space& space = *guest.space;
  EXPECT_OK(space.map(ram(pages(0, 4))));
  const auto version = space.version();
  for (const GpaRange& range : ranges_beyond()) {
    EXPECT_ERROR(space.map(ram(range)), ErrorKind::Invalid);
    EXPECT_ERROR(space.unmap(range), ErrorKind::Invalid);
    EXPECT_ERROR(space.protect(range, uvm::Protection::Read), ErrorKind::Invalid);
    EXPECT_ERROR(space.inherit(range, uvm::Inherit::None), ErrorKind::Invalid);
    EXPECT_ERROR(space.advise(range, uvm::Advice::Random), ErrorKind::Invalid);
    EXPECT_ERROR(space.extract({range, page(0), uvm::Protection::Read, ""}, *other.space),
                 ErrorKind::Invalid);
    if (range.begin() != Gpa(0)) {
      EXPECT_ERROR(space.extract({pages(0, 4), range.begin(), uvm::Protection::Read, ""}, *other.space),
                   ErrorKind::Invalid);
    }
    EXPECT_ERROR(uvm::Access::open(space, range, uvm::AccessKind::Read), ErrorKind::Invalid);
    EXPECT_ERROR(uvm::Pin::create(space, range, uvm::PinAccess::Read, uvm::PinOwner::create("edge")),
                 ErrorKind::Invalid);
    std::vector<std::byte> byte(1);
    EXPECT_FALSE(uvm::Access::read(space, range.end(), byte, uvm::kDebugger));
  }
  EXPECT_EQ(space.version(), version);
  auto object = uvm::Object::create(std::make_shared<FakePager>("o", 4 * kPage));
  auto request = over(pages(8, 4), object);
  request.offset = uvm::ObjectOffset(~std::uint64_t{0} - kPage + 1);
  EXPECT_ERROR(space.map(request), ErrorKind::Invalid) << "the object's end passes 2^64";
  request.offset = uvm::ObjectOffset(kPage / 2);
  EXPECT_ERROR(space.map(request), ErrorKind::Invalid);
}

}  // namespace address_edges_test
}  // namespace test
