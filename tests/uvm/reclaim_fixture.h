// A space under a memory limit, with a swap area that can fail.
#pragma once

#include "tests/support/fake_swap.h"
#include "tests/uvm/fixture.h"
#include "uvm/pin.h"

namespace test {

class ReclaimFixture : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kLimit = 128;  // pages
  static constexpr std::uint64_t kRam = 512;    // pages

  SimArena arena;
  FakeSwap swap;  // outlives the space
  Guest guest{arena};
  uvm::Space& space = *guest.space;

  void SetUp() override {
    EXPECT_OK(space.set_limit({kLimit * kPage, &swap, {}}));
    EXPECT_OK(space.map(ram(pages(0, kRam))));
  }

  [[nodiscard]] std::uint64_t resident() const { return space.reclaim_statistics().resident / kPage; }
  [[nodiscard]] std::uint64_t swapped() const { return space.reclaim_statistics().swapped / kPage; }

  /// Page n gets pattern seed + n.
  void write_pages(std::uint64_t first, std::uint64_t count, std::uint64_t seed) {
    for (std::uint64_t n = first; n < first + count; ++n) guest.write_pattern(n, seed + n);
  }
  void expect_pages(Guest& reader, std::uint64_t first, std::uint64_t count, std::uint64_t seed) {
    for (std::uint64_t n = first; n < first + count; ++n) {
      ASSERT_TRUE(is_pattern(reader.page_at(n), seed + n)) << "page " << n;
    }
  }
  void expect_pages(std::uint64_t first, std::uint64_t count, std::uint64_t seed) {
    expect_pages(guest, first, count, seed);
  }
  /// Moves everything out that can go.
  void swap_out_all() { EXPECT_OK(space.reclaim(kRam * kPage)); }
};

}  // namespace test
