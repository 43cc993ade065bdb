// T6 and T7: what happens to the rights of pinned pages, and to pages that are touched while they are wired,
// is counted once.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/uvm/pin_fixture.h"

namespace test {
namespace acceptance_t06_test {

using uvm::Protection;

using AcceptanceT06 = PinFixture;
using AcceptanceT07 = PinFixture;

TEST_F(AcceptanceT06, RightsComeAndGoUnderAPin) {
  const auto file = kept_object(4);
  EXPECT_OK(space.map(over(pages(0, 4), file)));
  EXPECT_OK(space.map(over(pages(4, 4), file, uvm::Sharing::Shared)));
  {
    const auto held = pin(pages(0, 8));
    ASSERT_TRUE(is_ok(held));
    EXPECT_EQ(keeper->held(), 4U) << "of the shared half; the private one has pages of its own";
    EXPECT_OK(space.protect(pages(0, 8), Protection::None));
    EXPECT_ERROR(guest.cpu.load(page(1)), uvm::ErrorKind::Protection);
    fill_pattern(dma(*held, 1), 5);
    EXPECT_OK(space.protect(pages(0, 8), Protection::ReadWrite));
    EXPECT_TRUE(is_pattern(guest.page_at(1), 5)) << "the device's write, made when the guest had no rights";
    guest.write_pattern(5, 6);
    guest.write_pattern(2, 7);
    EXPECT_TRUE(uses_pinned_frames(guest, *held));
    EXPECT_EQ(space.pin_count(page(1)), 1U) << "faults on pinned pages count nothing";
  }
  expect_nothing_pinned();
}

TEST_F(AcceptanceT06, UnmappedAfterTheRightsWentNothingIsLeft) {
  EXPECT_OK(space.map(over(pages(0, 4), kept_object(4), uvm::Sharing::Shared)));
  auto held = pin(pages(0, 4));
  ASSERT_TRUE(is_ok(held));
  EXPECT_OK(space.protect(pages(0, 4), Protection::None));
  EXPECT_ERROR(space.unmap(pages(0, 4)), uvm::ErrorKind::Pinned);
  held = uvm::Error();
  EXPECT_OK(space.unmap(pages(0, 4)));
  expect_nothing_pinned();
}

TEST_F(AcceptanceT07, PagesTouchedWhileTheyAreWired) {
  constexpr std::uint64_t kCount = 64;
  EXPECT_OK(space.map(over(pages(0, kCount), object(kCount))));
  for (int round = 0; round < 20 && !HasFailure(); ++round) {
    auto request = over(pages(0, kCount), uvm::Object::create(pager));
    request.overlap = uvm::Overlap::Replace;
    EXPECT_OK(space.map(request));
    std::atomic<bool> done{false};
    std::atomic<int> failures{0};
    std::vector<std::thread> threads;
    for (std::uint64_t t = 0; t < 2; ++t) {
      threads.emplace_back([&, t] {
        SimCpu cpu(space, guest.mmu);
        for (std::uint64_t i = t; !done; i = (i + 7) % kCount) {
          if (!cpu.store(page(i) + 8 * t, i)) ++failures;
        }
      });
    }
    {
      const auto held = pin(pages(0, kCount));
      done = true;
      for (std::thread& thread : threads) thread.join();
      ASSERT_TRUE(is_ok(held));
      for (std::uint64_t i = 0; i < kCount; ++i) EXPECT_EQ(space.pin_count(page(i)), 1U);
      EXPECT_EQ(space.entry_at(page(0))->wired, kCount * kPage);
      EXPECT_TRUE(uses_pinned_frames(guest, *held));
    }
    EXPECT_EQ(failures, 0);
    expect_nothing_pinned();
  }
}

}  // namespace acceptance_t06_test
}  // namespace test
