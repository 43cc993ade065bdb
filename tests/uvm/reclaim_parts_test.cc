// A cluster that two mappings share goes out in two parts, and while the first is written everything may
// happen to the second: it was hidden and flushed a while ago, and is in use again.
#include <optional>

#include "tests/uvm/reclaim_fixture.h"
#include "uvm/access.h"

namespace test {
namespace reclaim_parts_test {

class ReclaimPartsTest : public ReclaimFixture {
 protected:
  static constexpr std::uint64_t kSecond = 8;  // where the second mapping begins
  static constexpr std::uint64_t kCluster = 16;

  void SetUp() override {
    ReclaimFixture::SetUp();
    EXPECT_OK(space.inherit(pages(kSecond, kRam - kSecond), uvm::Inherit::None));
    write_pages(0, kCluster, 1);
  }

  /// Runs `first` in the first write to swap and `second` in the next one, if there is one.
  template <class F, class G>
  void during_writes(F first, G second) {
    swap.before_io([=, write = std::make_shared<int>(0)] {
      const int number = ++*write;
      if (number == 1) first();
      if (number == 2) second();
    });
  }
};

TEST_F(ReclaimPartsTest, NobodyWritesAPageThatIsBeingWrittenOut) {
  bool was_used = false;
  bool is_used = true;
  during_writes(
      [&] {
        EXPECT_OK(guest.cpu.store(page(kSecond), 77));
        was_used = guest.cpu.caches(page(kSecond));
      },
      [&] { is_used = guest.cpu.caches(page(kSecond)); });
  EXPECT_OK(space.reclaim(kCluster * kPage));
  swap.before_io({});
  EXPECT_TRUE(was_used);
  EXPECT_FALSE(is_used) << "the translation went while its bytes were read, and the vCPU was not told";
  EXPECT_EQ(swapped(), kCluster);
  const auto stored = guest.cpu.load(page(kSecond));
  ASSERT_TRUE(is_ok(stored));
  EXPECT_EQ(*stored, 77U);
}

TEST_F(ReclaimPartsTest, WhatIsOpenedMeanwhileStays) {
  std::optional<uvm::Access> access;
  during_writes(
      [&] {
        auto opened = uvm::Access::open(space, pages(kSecond, 1), uvm::AccessKind::Write);
        ASSERT_TRUE(is_ok(opened));
        access.emplace(std::move(*opened));
      },
      [] { ADD_FAILURE() << "the second part was written out"; });
  EXPECT_OK(space.reclaim(kCluster * kPage));
  swap.before_io({});
  EXPECT_EQ(swapped(), kSecond);
  ASSERT_TRUE(access);
  EXPECT_TRUE(is_pattern(access->bytes(), 1 + kSecond));
  fill_pattern(access->bytes(), 99);
  access.reset();
  EXPECT_TRUE(is_pattern(guest.page_at(kSecond), 99));
}

TEST_F(ReclaimPartsTest, WhatIsOpenIsNotHiddenEither) {
  auto opened = uvm::Access::open(space, pages(kSecond, 1), uvm::AccessKind::Write);
  ASSERT_TRUE(is_ok(opened));
  swap_out_all();
  EXPECT_TRUE(guest.mmu.extract(page(kSecond))) << "its bytes are used through the translation";
  EXPECT_TRUE(is_pattern(opened->bytes(), 1 + kSecond));
}

TEST_F(ReclaimPartsTest, WhatWasGivenBackWhileItWasWrittenIsNotInSwap) {
  EXPECT_OK(space.unmap(pages(0, kRam)));
  auto pager = std::make_shared<FakePager>("file", kCluster * kPage, 100);
  EXPECT_OK(space.map(over(pages(0, kCluster), uvm::Object::create(pager))));
  write_pages(0, kCluster, 1);
  guest.write_pattern(5, 105);  // as the file has it
  during_writes(
      [&] {
        const auto what = space.reshare(page(5));
        ASSERT_TRUE(is_ok(what));
        EXPECT_EQ(*what, uvm::Reshared::Dropped);
      },
      [] {});
  EXPECT_OK(space.reclaim(kCluster * kPage));
  swap.before_io({});
  EXPECT_EQ(swapped(), kCluster - 1);
  EXPECT_TRUE(is_pattern(guest.page_at(5), 105));
  expect_pages(6, kCluster - 6, 1);
}

}  // namespace reclaim_parts_test
}  // namespace test
