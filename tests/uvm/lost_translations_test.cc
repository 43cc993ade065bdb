// Translations that go in the middle of a fault (property P0), at the moments at which one step relies on the
// last.
#include <gtest/gtest.h>

#include <utility>

#include "tests/support/fake_swap.h"
#include "tests/uvm/fixture.h"

namespace test {
namespace lost_translations_test {

/// Loses everything just before it fills pages.
class ForgetfulMmu : public SimMmu {
 public:
  using SimMmu::SimMmu;
  [[nodiscard]] uvm::Status fill(uvm::GpaRange range, std::span<const std::byte> bytes) override {
    if (std::exchange(forgets_, false)) drop_all();
    return SimMmu::fill(range, bytes);
  }
  void forget_before_filling() { forgets_ = true; }

 private:
  bool forgets_ = false;
};

class LostTranslations : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kLimit = 64;  // pages

  void SetUp() override {
    auto made = uvm::Space::create("guest", mmu, pages(0, 1024));
    ASSERT_TRUE(is_ok(made));
    space = std::move(*made);
    EXPECT_OK(space->set_limit({kLimit * kPage, &swap, {}}));
    EXPECT_OK(space->map(ram(pages(0, 256))));
  }

  SimArena arena;
  FakeSwap swap;  // outlives the space
  ForgetfulMmu mmu{1024 * kPage, &arena};
  std::unique_ptr<uvm::Space> space;
};

// Who sleeps on the page is woken by its translation and by nothing else.
TEST_F(LostTranslations, BetweenEnteringAndFillingWithZeros) {
  mmu.forget_before_filling();
  ASSERT_TRUE(is_ok(space->fault(page(3), uvm::AccessKind::Read)));
  const auto found = mmu.extract(page(3));
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(found->frame.has_value());
  EXPECT_EQ(space->reclaim_statistics().resident % kPage, 0U);
}

TEST_F(LostTranslations, BetweenEnteringAndFillingFromSwap) {
  EXPECT_OK(uvm::Access::write(*space, page(3), pattern(kPage, 3)));
  EXPECT_OK(space->reclaim(256 * kPage));
  ASSERT_FALSE(mmu.extract(page(3)).has_value());
  mmu.forget_before_filling();
  ASSERT_TRUE(is_ok(space->fault(page(3), uvm::AccessKind::Read)));
  EXPECT_TRUE(mmu.extract(page(3)).has_value());
  std::vector<std::byte> seen(kPage);
  EXPECT_OK(uvm::Access::read(*space, page(3), seen));
  EXPECT_EQ(seen, pattern(kPage, 3));
}

}  // namespace lost_translations_test
}  // namespace test
