#include "vmm/snapshot/page_collector.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>

#include <utility>
#include <vector>

#include "ept/host/frozen_object.h"
#include "uvm/base/runs.h"

namespace vmm::snapshot {
namespace page_collector_test {

constexpr std::uint64_t kPage = uvm::kPageSize;

uvm::GpaRange pages(std::uint64_t first, std::uint64_t count) {
  return *uvm::GpaRange::from_size(uvm::Gpa(first * kPage), count * kPage);
}

std::vector<std::byte> full_of(std::uint8_t value, std::uint64_t count = 1) {
  return std::vector<std::byte>(count * kPage, static_cast<std::byte>(value));
}

class PageCollectorTest : public testing::Test {
 protected:
  void collect(PriorPages prior = {}) {
    auto made = PageCollector::create(64, {}, std::move(prior));
    ASSERT_TRUE(made) << made.error().text();
    collector_.emplace(*std::move(made));
  }
  void keep(uvm::GpaRange run, std::uint8_t value) {
    ASSERT_TRUE(collector_->keep(run, full_of(value, run.pages())));
  }
  /// First byte of each page of all that was found, by page number.
  std::map<std::uint64_t, int> finish() {
    auto found = std::move(*collector_).finish();
    EXPECT_TRUE(found) << found.error().text();
    MemoryImage image;
    image.changed = *found;
    const auto view = ImageView::create(image);
    EXPECT_TRUE(view) << view.error().text();
    std::map<std::uint64_t, int> bytes;
    for (const MemoryRegion& run : *found) {
      for (std::uint64_t n = 0; n < run.range.pages(); ++n) {
        std::vector<std::byte> page(kPage);
        view->read(run.range.begin() + n * kPage, page);
        bytes[run.range.begin().page() + n] = std::to_integer<int>(page[0]);
      }
    }
    runs_ = found->size();
    return bytes;
  }

  using Bytes = std::map<std::uint64_t, int>;
  std::optional<PageCollector> collector_;
  std::size_t runs_ = 0;
};

TEST_F(PageCollectorTest, ALaterLookTakesThePlaceOfAnEarlierOne) {
  collect();
  keep(pages(2, 4), 1);
  keep(pages(10, 1), 2);
  collector_->look_again({pages(3, 2), pages(8, 1), pages(10, 2)});
  keep(pages(3, 1), 3);  // page 4 is not private any more
  keep(pages(8, 1), 4);
  keep(pages(11, 1), 5);
  EXPECT_EQ(finish(), (Bytes{{2, 1}, {3, 3}, {5, 1}, {8, 4}, {11, 5}}));
}

TEST_F(PageCollectorTest, TheLastOfManyLooksCounts) {
  collect();
  keep(pages(0, 8), 1);
  for (std::uint8_t look = 2; look < 5; ++look) {
    collector_->look_again({pages(look, 2)});
    keep(pages(look, 2), look);
  }
  EXPECT_EQ(finish(), (Bytes{{0, 1}, {1, 1}, {2, 2}, {3, 3}, {4, 4}, {5, 4}, {6, 1}, {7, 1}}));
}

TEST_F(PageCollectorTest, LooksThatAreForgottenLeaveNothing) {
  collect();
  keep(pages(0, 8), 1);
  collector_->look_again({pages(0, 1)});
  keep(pages(0, 1), 2);
  collector_->start_over();
  keep(pages(5, 1), 3);
  EXPECT_EQ(finish(), (Bytes{{5, 3}}));
}

TEST_F(PageCollectorTest, OneRunStaysOne) {
  collect();
  keep(pages(0, 4), 1);
  keep(pages(4, 4), 1);
  EXPECT_EQ(finish().size(), 8U);
  EXPECT_EQ(runs_, 1U);
}

TEST_F(PageCollectorTest, WhatIsAtHandIsNotCopied) {
  auto object = ept::host::FrozenObject::from_bytes("prior", full_of(7, 2));
  ASSERT_TRUE(object);
  const MemoryObject prior = std::move(*object);
  auto pages_before = PriorPages::create({{pages(1, 2), prior, 0}});
  ASSERT_TRUE(pages_before);
  collect(*std::move(pages_before));
  keep(pages(1, 2), 7);
  collector_->look_again({pages(2, 1)});
  keep(pages(2, 1), 8);
  auto found = std::move(*collector_).finish();
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 2U);
  EXPECT_EQ(found->front(), (MemoryRegion{pages(1, 1), prior, 0}));
  EXPECT_NE(found->back().object, prior);
}

TEST_F(PageCollectorTest, CopiesThatWereMadeInVainAreGivenBack) {
  collect();
  keep(pages(0, 8), 1);
  collector_->look_again({pages(1, 2), pages(6, 1)});
  keep(pages(2, 1), 2);
  collector_->look_again({pages(2, 1)});
  keep(pages(2, 1), 3);
  auto found = std::move(*collector_).finish();
  ASSERT_TRUE(found);
  EXPECT_EQ(uvm::bytes_of(*found, &MemoryRegion::range), 6 * kPage);
  EXPECT_EQ(held_by(*found->front().object), 6 * kPage);
}

TEST_F(PageCollectorTest, NothingIsAnEmptyList) {
  collect();
  EXPECT_EQ(finish(), Bytes{});
}

}  // namespace page_collector_test
}  // namespace vmm::snapshot
