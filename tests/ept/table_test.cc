#include "ept/table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/ept/ept_support.h"

namespace ept {
namespace table_test {

using test::kGiB;
using test::kMiB;
using test::page;
using test::pages;

Leaf leaf(std::optional<std::uint64_t> frame, uvm::Protection rights = uvm::Protection::All) {
  Leaf made;
  made.frame = frame;
  made.fill = frame ? uvm::Fill::Exact : uvm::Fill::Zero;
  made.rights = rights;
  return made;
}

uvm::GpaRange bytes(std::uint64_t begin, std::uint64_t size) {
  return *uvm::GpaRange::from_size(uvm::Gpa(begin), size);
}

TEST(Table, AnUntouchedSpaceOf64GiBCostsAFewNodes) {
  Table table;
  table.set(bytes(0, 3 * kGiB), leaf(std::nullopt));
  table.set(bytes(4 * kGiB, 61 * kGiB), leaf(std::nullopt));
  EXPECT_EQ(table.lookup(uvm::Gpa(64 * kGiB))->size, kGiB);
  EXPECT_FALSE(table.lookup(uvm::Gpa(3 * kGiB)));
  EXPECT_EQ(table.bytes(), 2 * uvm::kPageSize);
}

TEST(Table, UsesTheLargestLeavesThatAlignmentAllows) {
  Table table;
  table.set(bytes(kGiB - 2 * kMiB - uvm::kPageSize, 2 * kGiB), leaf(0x3'fdff));
  EXPECT_EQ(table.lookup(uvm::Gpa(kGiB - 2 * kMiB - 1))->size, uvm::kPageSize);
  EXPECT_EQ(table.lookup(uvm::Gpa(kGiB - 1))->size, uvm::kLargePageSize);
  EXPECT_EQ(table.lookup(uvm::Gpa(kGiB))->size, uvm::kHugePageSize);
  EXPECT_EQ(table.lookup(uvm::Gpa(kGiB + 5 * uvm::kPageSize))->leaf.frame, 0x4'0005u);
}

TEST(Table, AFrameOutOfStepWithItsAddressGetsSmallLeaves) {
  Table table;
  table.set(bytes(kGiB, 2 * kMiB), leaf(7));
  EXPECT_EQ(table.lookup(uvm::Gpa(kGiB))->size, uvm::kPageSize);
  EXPECT_EQ(table.lookup(uvm::Gpa(kGiB + 511 * uvm::kPageSize))->leaf.frame, 7u + 511);
}

TEST(Table, APartialChangeSplintersAndTheRestStays) {
  Table table;
  table.set(bytes(0, kGiB), leaf(0));
  table.clear(pages(1000, 1));
  EXPECT_FALSE(table.lookup(page(1000)));
  EXPECT_EQ(table.lookup(page(1001))->leaf, leaf(1001));
  EXPECT_EQ(table.lookup(page(999))->leaf, leaf(999));
  EXPECT_EQ(table.lookup(page(0))->size, uvm::kLargePageSize);
}

TEST(Table, CollapsesWhatBecameUniformAgain) {
  Table table;
  table.set(bytes(0, kGiB), leaf(0));
  const auto before = table.bytes();
  table.set(pages(1000, 1), leaf(5));
  EXPECT_GT(table.bytes(), before);
  table.set(pages(1000, 1), leaf(1000));
  EXPECT_EQ(table.lookup(page(1000))->size, uvm::kHugePageSize);
  EXPECT_EQ(table.bytes(), before);
}

TEST(Table, FreesEmptyNodes) {
  Table table;
  for (std::uint64_t i = 0; i < 600; ++i) table.set(pages(i * 3, 1), leaf(i));
  for (std::uint64_t i = 0; i < 600; ++i) table.clear(pages(i * 3, 1));
  EXPECT_EQ(table.bytes(), uvm::kPageSize);
}

TEST(Table, LowerTakesRightsAndNeverGivesAny) {
  Table table;
  table.set(pages(0, 4), leaf(0, uvm::Protection::ReadWrite));
  table.lower(pages(1, 2), uvm::Protection::ReadExecute);
  EXPECT_EQ(table.lookup(page(0))->leaf.rights, uvm::Protection::ReadWrite);
  EXPECT_EQ(table.lookup(page(1))->leaf.rights, uvm::Protection::Read);
  table.lower(pages(2, 1), uvm::Protection::Write);
  EXPECT_FALSE(table.lookup(page(2)));
}

TEST(Table, CopyOnWriteWithoutWriteIsExact) {
  Table table;
  Leaf cow = leaf(0);
  cow.fill = uvm::Fill::CopyOnWrite;
  table.set(pages(0, 1), cow);
  table.lower(pages(0, 1), uvm::Protection::Read);
  EXPECT_EQ(table.lookup(page(0))->leaf.fill, uvm::Fill::Exact);
}

// Against a plain map of pages, over a space small enough that every kind of border is met.
TEST(Table, RandomisedAgainstAPlainMap) {
  constexpr std::uint64_t kBase = 0x3'ff00;  // pages; 256 pages below 1 GiB
  constexpr std::uint64_t kPages = 4096;
  for (unsigned seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    Table table;
    std::map<std::uint64_t, Leaf> model;
    for (int step = 0; step < 400; ++step) {
      const std::uint64_t first = random() % kPages;
      const std::uint64_t limit =
          random() % 3 == 0 ? kPages - first : std::min<std::uint64_t>(kPages - first, 20);
      const std::uint64_t count = 1 + random() % limit;
      const auto range = pages(kBase + first, count);
      switch (random() % 4) {
        case 0:
        case 1: {
          const bool framed = random() % 2 == 0;
          // Half of the frames in step with their addresses, so that large leaves come up.
          const std::uint64_t frame = random() % 2 == 0 ? kBase + first : random() % 100000;
          const Leaf made = framed ? leaf(frame) : leaf(std::nullopt, uvm::Protection::ReadWrite);
          table.set(range, made);
          for (std::uint64_t i = 0; i < count; ++i) model[kBase + first + i] = made.advanced(i);
          break;
        }
        case 2:
          table.clear(range);
          for (std::uint64_t i = 0; i < count; ++i) model.erase(kBase + first + i);
          break;
        case 3:
          table.lower(range, uvm::Protection::Read);
          for (std::uint64_t i = 0; i < count; ++i) {
            if (auto it = model.find(kBase + first + i); it != model.end()) {
              it->second.rights = uvm::Protection::Read;
            }
          }
          break;
      }
    }
    std::map<std::uint64_t, Leaf> seen;
    table.for_each(pages(kBase + 5, kPages - 5), [&](uvm::GpaRange range, const Leaf& first) {
      for (std::uint64_t i = 0; i < range.pages(); ++i) seen[range.begin().page() + i] = first.advanced(i);
    });
    for (std::uint64_t i = 0; i < kPages; ++i) {
      const auto hit = table.lookup(page(kBase + i));
      const auto wanted = model.find(kBase + i);
      ASSERT_EQ(hit.has_value(), wanted != model.end()) << "page " << i;
      if (hit) {
        ASSERT_EQ(hit->leaf, wanted->second) << "page " << i;
      }
      if (i < 5) continue;
      ASSERT_EQ(seen.count(kBase + i), model.count(kBase + i)) << "page " << i;
      if (hit) {
        ASSERT_EQ(seen[kBase + i], wanted->second) << "page " << i;
      }
    }
    table.clear(pages(0, std::uint64_t{1} << 30));
    EXPECT_EQ(table.bytes(), uvm::kPageSize);
  }
}

}  // namespace table_test
}  // namespace ept
