// Pages made ahead of their contents.
#include "vmm/snapshot/page_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "uvm/base/units.h"

namespace vmm::snapshot {
namespace page_store_test {

using uvm::kPageSize;

std::uint64_t pages_in(const ept::host::Backing& object) {
  struct stat status {};
  EXPECT_EQ(::fstat(object.fd(), &status), 0);
  return static_cast<std::uint64_t>(status.st_blocks) * 512 / kPageSize;
}

TEST(PageStore, WhatWasPreparedAndNotUsedIsGivenBack) {
  auto store = PageStore::create(1000);
  ASSERT_TRUE(store) << store.error().text();
  store->prepare(100);
  store->prepare(40);
  for (int i = 1; i <= 3; ++i) {
    std::ranges::fill(store->next(1), static_cast<std::byte>(i));
    store->keep(1);
  }
  // Room that is asked for and not kept is not used.
  std::ranges::fill(store->next(2), std::byte{9});
  const auto frozen = std::move(*store).freeze();
  ASSERT_TRUE(frozen) << frozen.error().text();
  EXPECT_EQ(pages_in(**frozen), 3U);
  std::vector<std::byte> page(kPageSize);
  for (std::uint64_t i = 0; i < 3; ++i) {
    ASSERT_TRUE((*frozen)->read_page(i, page));
    EXPECT_EQ(page.back(), static_cast<std::byte>(i + 1));
  }
}

TEST(PageStore, NothingIsLeftOfALargePageThatIsUsedInPart) {
  constexpr std::uint64_t kLarge = uvm::kLargePageSize / kPageSize;
  auto store = PageStore::create(8 * kLarge, {2 * kLarge + 10, ept::host::HugePages::Want});
  ASSERT_TRUE(store) << store.error().text();
  std::ranges::fill(store->next(kLarge + 7), std::byte{5});
  store->keep(kLarge + 7);
  const auto frozen = std::move(*store).freeze();
  ASSERT_TRUE(frozen) << frozen.error().text();
  EXPECT_EQ(pages_in(**frozen), kLarge + 7);
  std::vector<std::byte> page(kPageSize);
  ASSERT_TRUE((*frozen)->read_page(kLarge + 6, page));
  EXPECT_EQ(page.back(), std::byte{5});
}

TEST(PageStore, GrowsBeyondWhatWasPrepared) {
  auto store = PageStore::create(64);
  ASSERT_TRUE(store) << store.error().text();
  store->prepare(2);
  std::ranges::fill(store->next(64), std::byte{7});
  store->keep(64);
  const auto frozen = std::move(*store).freeze();
  ASSERT_TRUE(frozen) << frozen.error().text();
  EXPECT_EQ(pages_in(**frozen), 64U);
}

TEST(PageStore, NothingKeptIsNoObject) {
  auto store = PageStore::create(64);
  ASSERT_TRUE(store) << store.error().text();
  store->prepare(64);
  const auto frozen = std::move(*store).freeze();
  ASSERT_TRUE(frozen) << frozen.error().text();
  EXPECT_EQ(*frozen, nullptr);
}

}  // namespace page_store_test
}  // namespace vmm::snapshot
