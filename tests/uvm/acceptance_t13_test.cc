// T13: device memory under way while another thread forks, unmaps, or writes like a debugger: what the device
// was given stays the guest's page, and that page is what is let go.
#include <gtest/gtest.h>

#include <thread>

#include "tests/uvm/pin_fixture.h"

namespace test {
namespace acceptance_t13_test {

using uvm::ErrorKind;

using AcceptanceT13 = PinFixture;

TEST_F(AcceptanceT13, ForkUnmapAndPokeDuringATransfer) {
  EXPECT_OK(space.map(ram(pages(0, 8))));
  EXPECT_OK(space.map(text(pages(8, 8), object(8))));
  guest.write_pattern(3, 1);
  {
    const auto buffer = pin(pages(2, 4));
    const auto code = pin(pages(8, 8), uvm::PinAccess::Read);
    ASSERT_TRUE(is_ok(buffer) && is_ok(code));
    {
      Guest child(arena, "child", guest);
      fill_pattern(dma(*buffer, 3), 2);
      guest.write_pattern(4, 3);
      poke(guest, 9, 4);
      EXPECT_TRUE(is_pattern(child.page_at(3), 1)) << "the child has what was there at the fork";
      EXPECT_TRUE(is_zero(child.page_at(4)));
      EXPECT_TRUE(is_pattern(child.page_at(9), 101));
      EXPECT_TRUE(uses_pinned_frames(guest, *buffer));
      EXPECT_TRUE(uses_pinned_frames(guest, *code));
    }
    EXPECT_ERROR(space.unmap(pages(0, 16)), ErrorKind::Pinned);
    auto replacing = ram(pages(3, 1));
    replacing.overlap = uvm::Overlap::Replace;
    EXPECT_ERROR(space.map(replacing), ErrorKind::Pinned);
    EXPECT_TRUE(uses_pinned_frames(guest, *buffer));
    EXPECT_TRUE(is_pattern(guest.page_at(3), 2));
    EXPECT_TRUE(is_pattern(guest.page_at(9), 4));
  }
  expect_nothing_pinned();
  EXPECT_OK(space.unmap(pages(0, 16)));
}

TEST_F(AcceptanceT13, ForksWhileAPinIsBeingMade) {
  constexpr std::uint64_t kCount = 32;
  for (int round = 0; round < 20 && !HasFailure(); ++round) {
    auto request = ram(pages(0, kCount));
    request.overlap = uvm::Overlap::Replace;
    EXPECT_OK(space.map(request));
    for (std::uint64_t i = 0; i < kCount; i += 2) guest.write_pattern(i, i + 1);
    Guest first(arena, "first", guest);  // so that pages have to be copied
    std::unique_ptr<Guest> second;
    std::thread forker([&] { second = std::make_unique<Guest>(arena, "second", guest); });
    {
      const auto held = pin(pages(4, 20));
      forker.join();
      ASSERT_TRUE(is_ok(held));
      for (std::uint64_t i = 4; i < 24; ++i) fill_pattern(dma(*held, i), i + 100);
      EXPECT_TRUE(uses_pinned_frames(guest, *held));
      for (std::uint64_t i = 0; i < kCount; i += 2) {
        EXPECT_TRUE(is_pattern(first.page_at(i), i + 1));
        EXPECT_TRUE(is_pattern(second->page_at(i), i + 1));
        EXPECT_TRUE(is_zero(second->page_at(i + 1)));
      }
      for (std::uint64_t i = 0; i < kCount; ++i) second->write_pattern(i, i + 200);
      EXPECT_TRUE(uses_pinned_frames(guest, *held));
      EXPECT_TRUE(is_pattern(guest.page_at(5), 105));
    }
  }
  expect_nothing_pinned();
}

}  // namespace acceptance_t13_test
}  // namespace test
