// Which pages a space says were written, while somebody copies them.
#include "uvm/write_log.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "tests/uvm/pin_fixture.h"

namespace test {
namespace write_log_test {

using uvm::GpaRange;
using uvm::Pin;
using uvm::PinAccess;

class WriteLogTest : public PinFixture {
 protected:
  void SetUp() override {
    EXPECT_OK(space.map(ram(pages(0, 32))));
    for (std::uint64_t n = 0; n < 32; ++n) guest.write_pattern(n, n);
    EXPECT_OK(space.start_write_log(pages(0, 32)));
  }
  std::vector<GpaRange> written() {
    uvm::PageSet set(pages(0, 32));
    space.take_written(set);
    return set.runs();
  }
  using Runs = std::vector<GpaRange>;
};

TEST_F(WriteLogTest, ReadingLeavesNoTrace) {
  std::vector<std::byte> bytes(kPage);
  EXPECT_OK(uvm::Access::read(space, page(3), bytes));
  EXPECT_OK(uvm::Access::read(space, page(4), bytes, uvm::kDebugger));
  { const auto held = pin(pages(5, 1), PinAccess::Read); }
  EXPECT_EQ(written(), Runs{});
}

TEST_F(WriteLogTest, WritesAreNotedOnce) {
  EXPECT_OK(uvm::Access::write_value(space, page(3) + 4, std::uint8_t{1}));
  EXPECT_OK(uvm::Access::write_value(space, page(9) - 2, std::uint32_t{1}));
  EXPECT_EQ(written(), (Runs{pages(3, 1), pages(8, 2)}));
  EXPECT_EQ(written(), Runs{});
}

TEST_F(WriteLogTest, ADebuggersAreNotedToo) {
  EXPECT_OK(space.protect(pages(3, 1), uvm::Protection::Read));
  poke(guest, 3, 77);
  EXPECT_EQ(written(), Runs{pages(3, 1)});
}

TEST_F(WriteLogTest, AnAccessIsNotedWhenItEnds) {
  {
    const auto access = uvm::Access::open(space, pages(6, 2), uvm::AccessKind::Write);
    ASSERT_TRUE(is_ok(access));
    EXPECT_EQ(written(), Runs{});
  }
  EXPECT_EQ(written(), Runs{pages(6, 2)});
}

TEST_F(WriteLogTest, WhatIsPinnedForWritingIsWrittenAsLongAsItIs) {
  std::optional<Pin> held = pin(pages(4, 2), PinAccess::Write).value();
  EXPECT_EQ(written(), Runs{pages(4, 2)});
  EXPECT_EQ(written(), Runs{pages(4, 2)});
  held.reset();
  EXPECT_EQ(written(), Runs{pages(4, 2)}) << "until it ended";
  EXPECT_EQ(written(), Runs{});
}

TEST_F(WriteLogTest, WhatIsMappedAnewOrGivenBackIsNoted) {
  ASSERT_TRUE(space.discard(pages(2, 2)));
  EXPECT_OK(space.unmap(pages(10, 4)));
  EXPECT_EQ(written(), (Runs{pages(2, 2), pages(10, 4)}));
  EXPECT_OK(space.map(ram(pages(11, 2))));
  auto replacing = ram(pages(20, 1));
  replacing.overlap = uvm::Overlap::Replace;
  EXPECT_OK(space.map(replacing));
  EXPECT_EQ(written(), (Runs{pages(11, 2), pages(20, 1)}));
}

TEST_F(WriteLogTest, NothingIsNotedWhenItHasEndedNorOfTheTimeBefore) {
  EXPECT_OK(uvm::Access::write_value(space, page(3), std::uint8_t{1}));
  space.stop_write_log();
  EXPECT_OK(uvm::Access::write_value(space, page(5), std::uint8_t{1}));
  EXPECT_OK(space.start_write_log(pages(0, 32)));
  EXPECT_EQ(written(), Runs{});
}

TEST_F(WriteLogTest, APinMayOutliveTheLog) {
  std::optional<Pin> held = pin(pages(4, 2), PinAccess::Write).value();
  space.stop_write_log();
  held.reset();
  EXPECT_OK(space.start_write_log(pages(0, 32)));
  EXPECT_EQ(written(), Runs{});
}

}  // namespace write_log_test
}  // namespace test
