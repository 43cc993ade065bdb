// Who has which pages: unique, shared and proportional bytes of guests.
#include "vmm/machine/memory_shares.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "vmm/machine/resident_pages.h"

namespace vmm {
namespace memory_shares_test {

constexpr std::uint64_t kPage = uvm::kPageSize;
constexpr uvm::ObjectIdentity kRam{1, 7};
constexpr uvm::ObjectIdentity kPages{1, 8};

ResidentPages guest(std::uint64_t own, std::map<uvm::ObjectIdentity, std::vector<ObjectRun>> objects) {
  ResidentPages pages;
  pages.own = own * kPage;
  pages.objects = std::move(objects);
  return pages;
}

TEST(MemoryShares, OfOneGuestAreAllItsOwn) {
  const std::vector guests{guest(3, {{kRam, {{0, 4}, {10, 1}}}})};
  EXPECT_EQ(shares_of(guests), (std::vector<MemoryShare>{{8 * kPage, 0, 8 * kPage}}));
  EXPECT_TRUE(shares_of({}).empty());
}

TEST(MemoryShares, DividePagesByThoseWhoHaveThem) {
  // Page 0: all three; 1: two; 2 and 9: one; the other object has the same page numbers and is another.
  const std::vector guests{guest(0, {{kRam, {{0, 3}}}}), guest(1, {{kRam, {{0, 2}}}, {kPages, {{0, 6}}}}),
                           guest(0, {{kRam, {{0, 1}, {9, 1}}}})};
  const std::uint64_t third = kPage / 3;
  const auto shares = shares_of(guests);
  EXPECT_EQ(shares[0], (MemoryShare{kPage, 2 * kPage, kPage + kPage / 2 + third}));
  EXPECT_EQ(shares[1], (MemoryShare{7 * kPage, 2 * kPage, 7 * kPage + kPage / 2 + third}));
  EXPECT_EQ(shares[2], (MemoryShare{kPage, kPage, kPage + third}));
}

TEST(MemoryShares, OfObjectsAreCountedOnceAndNeverBelowNothing) {
  std::vector guests{guest(2, {{kRam, {{0, 3}}}}), guest(0, {{kRam, {{1, 4}}}, {kPages, {}}})};
  guests[0].held = {{kRam, 10 * kPage}};
  guests[1].held = {{kRam, 10 * kPage}, {kPages, 6 * kPage}};
  EXPECT_EQ(objects_of(guests), (HeldObjects{2, 16 * kPage, 11 * kPage}));
  // The second was asked later, when pages of it had been given back.
  guests[0].held.clear();
  guests[1].held = {{kRam, 4 * kPage}};
  EXPECT_EQ(objects_of(guests), (HeldObjects{1, 4 * kPage, 0}));
  EXPECT_EQ(objects_of({}), HeldObjects());
}

TEST(MemoryShares, AgreeWithCountingPageByPage) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::vector<bool>> has(4, std::vector<bool>(64));
    std::vector<ResidentPages> guests(4);
    for (std::size_t g = 0; g < 4; ++g) {
      for (std::uint64_t page = 0; page < 64; ++page) {
        has[g][page] = random() % 2 == 0;
        if (!has[g][page]) continue;
        auto& runs = guests[g].objects[kRam];
        if (!runs.empty() && runs.back().end() == page) {
          ++runs.back().pages;
        } else {
          runs.push_back({page, 1});
        }
      }
    }
    const auto shares = shares_of(guests);
    for (std::size_t g = 0; g < 4; ++g) {
      MemoryShare wanted;
      double parts = 0;
      for (std::size_t page = 0; page < 64; ++page) {
        const auto holders =
            std::count_if(has.begin(), has.end(), [&](const auto& one) { return one[page]; });
        if (!has[g][page]) continue;
        (holders == 1 ? wanted.unique : wanted.shared) += kPage;
        parts += static_cast<double>(kPage) / static_cast<double>(holders);
      }
      EXPECT_EQ(shares[g].unique, wanted.unique);
      EXPECT_EQ(shares[g].shared, wanted.shared);
      EXPECT_NEAR(static_cast<double>(shares[g].proportional), parts, 1);
    }
  }
}

TEST(ResidentPages, GoToAnotherProcessWhole) {
  const ResidentPages pages = guest(5, {{kRam, {{0, 4}, {10, 1}}}, {kPages, {{3, 9}}}});
  const auto back = ResidentPages::decode(pages.encode());
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(back->own, pages.own);
  EXPECT_EQ(back->objects, pages.objects);
  EXPECT_EQ(back->held, pages.held);
}

TEST(ResidentPages, ThatAreDamagedAreRefused) {
  const auto bytes = guest(5, {{kRam, {{0, 4}}}}).encode();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto cut = ResidentPages::decode(std::span(bytes).first(size));
    EXPECT_TRUE(size == 8 || !cut) << size;
  }
  EXPECT_FALSE(ResidentPages::decode(guest(0, {{kRam, {{~std::uint64_t{0}, 1}}}}).encode()));
  EXPECT_FALSE(ResidentPages::decode(guest(0, {{kRam, {{1, ~std::uint64_t{0}}}}}).encode()));
}

}  // namespace memory_shares_test
}  // namespace vmm
