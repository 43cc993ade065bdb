// Requests that make no sense, for every operation: the kind of the error, that it names space, range and
// cause, and that nothing is half done.
#include <gtest/gtest.h>

#include <array>

#include "tests/uvm/world.h"

namespace test {
namespace bad_input_test {

using uvm::AccessKind;
using uvm::ErrorKind;
using uvm::Gpa;
using uvm::GpaRange;
using uvm::Protection;
using uvm::Status;

/// An operation on a range of a space in which [0, 16) is RAM, [16, 24) a hole, [24, 28) read-only for ever.
struct RangeOperation {
  const char* name;
  Status (*act)(World&, GpaRange);
  bool takes_bytes = false;   // any alignment
  bool passes_holes = false;  // a hole is no error
};

Status open_and_close(World& w, GpaRange range) {
  UVMM_TRY(const uvm::Access opened, uvm::Access::open(*w.space, range, AccessKind::Read));
  return uvm::ok();
}

constexpr std::array kOperations = {
    RangeOperation{"map", [](World& w, GpaRange r) { return w.space->map(ram(r)); }, false, true},
    RangeOperation{"unmap", [](World& w, GpaRange r) { return w.space->unmap(r); }, false, true},
    RangeOperation{"protect", [](World& w, GpaRange r) { return w.space->protect(r, Protection::Read); }},
    RangeOperation{"inherit", [](World& w, GpaRange r) { return w.space->inherit(r, uvm::Inherit::None); }},
    RangeOperation{"advise", [](World& w, GpaRange r) { return w.space->advise(r, uvm::Advice::Random); }},
    RangeOperation{"pin", [](World& w, GpaRange r) { return w.pin(r); }},
    RangeOperation{"access", open_and_close, true},
};

struct BadRange {
  const char* name;
  GpaRange range;
  const char* cause;
  bool is_alignment = false;
};

GpaRange bytes(std::uint64_t begin, std::uint64_t size) {
  return *GpaRange::from_size(Gpa(begin), size);
}

const std::array kBadRanges = {
    BadRange{"empty", bytes(0x4000, 0), "empty"},
    BadRange{"empty_at_the_end_of_the_space", bytes(World::kBytes, 0), "empty"},
    BadRange{"unaligned_begin", bytes(0x4010, 0xff0), "not whole pages", true},
    BadRange{"unaligned_end", bytes(0x4000, 0x1001), "not whole pages", true},
    BadRange{"across_the_end_of_the_space", bytes(World::kBytes - kPage, 2 * kPage), "outside the space"},
    BadRange{"behind_the_space", bytes(World::kBytes, kPage), "outside the space"},
    BadRange{"across_2_to_the_52", bytes(uvm::kAddressLimit - kPage, 2 * kPage), "outside the space"},
    BadRange{"up_to_2_to_the_64", bytes(~std::uint64_t{0} << 12, kPage - 1), "", true},
    BadRange{"last_whole_pages", bytes(~std::uint64_t{0} << 13, kPage), "outside the space"},
};

class BadInputTest : public ::testing::Test {
 protected:
  BadInputTest() {
    EXPECT_OK(world.space->map(ram(pages(0, 16))));
    auto rom = over(pages(24, 4), world.object);
    rom.protection = rom.max_protection = Protection::Read;
    EXPECT_OK(world.space->map(rom));
    world.write(3, 3);
    before = picture_of(world);
  }
  /// The error of `status` names all of `said`, and nothing has changed.
  void expect_refused(const Status& status, ErrorKind kind, const std::vector<std::string>& said) {
    EXPECT_ERROR(status, kind);
    if (status) return;
    for (const std::string& part : said) {
      EXPECT_NE(status.error().text().find(part), std::string::npos)
          << part << " is not in: " << status.error().text();
    }
    EXPECT_EQ(picture_of(world), before);
    EXPECT_TRUE(shows(*world.space, 3, 3));
  }

  World world;
  Picture before;
};

TEST_F(BadInputTest, RangesThatNoOperationTakes) {
  for (const RangeOperation& operation : kOperations) {
    for (const BadRange& bad : kBadRanges) {
      if (operation.takes_bytes && bad.is_alignment && world.limits().contains(bad.range)) continue;
      SCOPED_TRACE(std::string(operation.name) + " of " + bad.name);
      std::vector<std::string> said = {"space guest", operation.name, to_string(bad.range)};
      said.emplace_back(operation.takes_bytes ? "" : bad.cause);
      expect_refused(operation.act(world, bad.range), ErrorKind::Invalid, said);
    }
  }
}

TEST_F(BadInputTest, AHoleInTheMiddle) {
  for (const RangeOperation& operation : kOperations) {
    if (operation.passes_holes) continue;
    SCOPED_TRACE(operation.name);
    expect_refused(operation.act(world, pages(14, 12)), ErrorKind::NoMapping,
                   {"space guest", "nothing is mapped", "0x10000"});
    expect_refused(operation.act(world, pages(17, 2)), ErrorKind::NoMapping,
                   {"nothing is mapped", "0x11000"});
  }
}

TEST_F(BadInputTest, BytesThatPassTheEndOfAllAddresses) {
  std::vector<std::byte> some(2 * kPage);
  const Gpa last(~std::uint64_t{0} - 100);
  for (const Status& status :
       {uvm::Access::read(*world.space, last, some), uvm::Access::write(*world.space, last, some)}) {
    expect_refused(status, ErrorKind::Invalid, {"space guest", "0xffffffffffffff9b", "pass 2^64"});
  }
}

TEST_F(BadInputTest, BytesThatReachIntoAHole) {
  std::vector<std::byte> some(2 * kPage);
  world.write(15, 5);
  before = picture_of(world);
  expect_refused(uvm::Access::read(*world.space, page(15), some), ErrorKind::NoMapping,
                 {"space guest", "0x10000", "nothing is mapped"});
  expect_refused(uvm::Access::fill(*world.space, pages(16, 1), std::byte{1}), ErrorKind::NoMapping,
                 {"space guest", "0x10000", "nothing is mapped"});
}

TEST_F(BadInputTest, RightsBeyondTheMost) {
  expect_refused(world.space->protect(pages(24, 2), Protection::ReadWrite), ErrorKind::Protection,
                 {"protect 0x18000+0x2000", "object at 0x18000+0x4000", "r-- at most", "rw-"});
  expect_refused(world.space->protect(pages(0, 1), Protection::Write), ErrorKind::Invalid,
                 {"protect 0x0+0x1000", "without read"});
  auto request = ram(pages(40, 1));
  request.max_protection = Protection::Read;
  expect_refused(world.space->map(request), ErrorKind::Invalid, {"map 0x28000+0x1000", "rwx", "r--"});
  request.protection = request.max_protection = Protection::Execute;
  expect_refused(world.space->map(request), ErrorKind::Invalid, {"map 0x28000+0x1000", "without read"});
}

TEST_F(BadInputTest, AccessesBeyondTheRights) {
  expect_refused(world.pin(pages(24, 2)), ErrorKind::Protection,
                 {"space guest", "pin 0x18000+0x2000", "object at 0x18000+0x4000", "r--", "write"});
  for (const uvm::FaultKind kind : {uvm::FaultKind::Plain, uvm::FaultKind::Wire, uvm::FaultKind::WireMax}) {
    expect_refused(world.space->fault(page(25), AccessKind::Write, kind), ErrorKind::Protection,
                   {"space guest", "write at 0x19000", "object at 0x18000+0x4000", "r--"});
    expect_refused(world.space->fault(page(20), AccessKind::Read, kind), ErrorKind::NoMapping,
                   {"space guest", "read at 0x14000", "nothing is mapped"});
    expect_refused(world.space->fault(Gpa(~std::uint64_t{0}), AccessKind::Read, kind), ErrorKind::NoMapping,
                   {"space guest", "read at 0xfffffffffffff000"});
  }
}

TEST_F(BadInputTest, MappingsOfObjects) {
  auto request = over(pages(40, 2), world.object);
  request.offset = uvm::ObjectOffset(12);
  expect_refused(world.space->map(request), ErrorKind::Invalid, {"map 0x28000+0x2000", "offset 0xc"});
  request.offset = uvm::ObjectOffset(~std::uint64_t{0} << 12);
  expect_refused(world.space->map(request), ErrorKind::Invalid, {"offset 0xfffffffffffff000", "passes 2^64"});
  const auto rom = uvm::Object::create(std::make_shared<FakePager>("rom.bin", kPage, 0, Protection::Read));
  expect_refused(world.space->map(over(pages(40, 1), rom, uvm::Sharing::Shared)), ErrorKind::Protection,
                 {"map 0x28000+0x1000", "rom.bin", "r--"});
  request = over(pages(2, 4), world.object);
  expect_refused(world.space->map(request), ErrorKind::Busy, {"map 0x2000+0x4000", "ram at 0x0+0x10000"});
}

TEST_F(BadInputTest, TheSpaceEndsAt2ToThe52) {
  SimMmu wide(kPage);
  const Gpa limit(uvm::kAddressLimit);
  auto made = uvm::Space::create("wide", wide, *GpaRange::from_bounds(Gpa(0), limit)).value();
  const GpaRange last = *GpaRange::from_bounds(limit - kPage, limit);
  EXPECT_OK(made->map(over(last, world.object, uvm::Sharing::Shared)));
  EXPECT_OK(made->fault(limit - 1, AccessKind::Read));
  const GpaRange across = *GpaRange::from_bounds(limit - kPage, limit + kPage);
  for (const Status& status : {made->unmap(across), made->protect(across, Protection::Read),
                               made->inherit(across, uvm::Inherit::None)}) {
    EXPECT_ERROR(status, ErrorKind::Invalid);
    EXPECT_NE(status.error().text().find("0xffffffffff000+0x2000"), std::string::npos)
        << status.error().text();
  }
  EXPECT_ERROR(made->fault(limit, AccessKind::Read), ErrorKind::NoMapping);
  EXPECT_EQ(made->entries().size(), 1U);
  EXPECT_OK(made->unmap(last));
}

/// What is under the memory goes while somebody wants it.
class LostBackingTest : public BadInputTest {
 protected:
  LostBackingTest() {
    EXPECT_OK(world.space->map(over(pages(32, 8), world.object, uvm::Sharing::Shared)));
    EXPECT_OK(world.space->map(over(pages(48, 8), world.object)));
    world.space->drop_translations();
    before = picture_of(world);
  }
};

TEST_F(LostBackingTest, ATruncatedObject) {
  world.pager->resize(2 * kPage + 100);
  world.object->invalidate(
      *uvm::ObjectRange::from_bounds(uvm::ObjectOffset(3 * kPage), uvm::ObjectOffset(64 * kPage)));
  for (const std::uint64_t first : {std::uint64_t{32}, std::uint64_t{48}}) {
    EXPECT_OK(world.space->fault(page(first + 2), AccessKind::Write)) << "the partial page is there";
    const std::vector<std::string> said = {"space guest", uvm::to_string(page(first + 3)),
                                           "file: page at 0x3000 is past the end at 0x2064", "truncated"};
    expect_refused(world.space->fault(page(first + 3), AccessKind::Read), ErrorKind::EndOfObject, said);
    expect_refused(open_and_close(world, pages(first, 6)), ErrorKind::EndOfObject, said);
  }
  expect_refused(world.pin(pages(32, 6)), ErrorKind::EndOfObject,
                 {"pin 0x20000+0x6000", "vfio0", "past the end"});
}

TEST_F(LostBackingTest, APagerThatFails) {
  world.pager->fail_page(3, ErrorKind::PagerIo);
  expect_refused(world.space->fault(page(35), AccessKind::Read), ErrorKind::PagerIo,
                 {"space guest: read at 0x23000", "injected"});
  expect_refused(world.pin(pages(32, 6)), ErrorKind::PagerIo, {"pin 0x20000+0x6000", "0x23000"});
  world.pager->clear_failures();
  EXPECT_OK(world.pin(pages(32, 6)));
}

TEST_F(BadInputTest, PinsOverTheirLimits) {
  world.space->limit_pins(2 * kPage);
  expect_refused(world.pin(pages(0, 3)), ErrorKind::NoMemory,
                 {"space guest", "pin 0x0+0x3000 for vfio0", "0x2000 bytes", "raise the space's limit"});
  const auto small = uvm::PinOwner::create("small", kPage);
  const auto pinned = uvm::Pin::create(*world.space, pages(0, 2), uvm::PinAccess::Read, small);
  EXPECT_ERROR(pinned, ErrorKind::NoMemory);
  EXPECT_NE(pinned.error().text().find("pin 0x0+0x2000: small may pin 0x1000"), std::string::npos)
      << pinned.error().text();
  EXPECT_EQ(small->pinned(), 0U);
}

TEST_F(BadInputTest, APagePinnedTooOften) {
  for (std::uint64_t i = 0; i < uvm::kMaxPinsOfPage; ++i) EXPECT_OK(world.pin(pages(3, 1)));
  before = picture_of(world);
  expect_refused(world.pin(pages(2, 3)), ErrorKind::NoMemory,
                 {"space guest", "pin 0x2000+0x3000 for vfio0", "65536 times"});
  world.pins.pop_back();
  EXPECT_OK(world.pin(pages(2, 3)));
}

}  // namespace bad_input_test
}  // namespace test
