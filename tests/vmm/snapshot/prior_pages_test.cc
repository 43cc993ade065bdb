#include "vmm/snapshot/prior_pages.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "ept/host/frozen_object.h"

namespace vmm::snapshot {
namespace prior_pages_test {

constexpr std::uint64_t kPage = uvm::kPageSize;

uvm::GpaRange pages(std::uint64_t first, std::uint64_t count) {
  return *uvm::GpaRange::from_size(uvm::Gpa(first * kPage), count * kPage);
}

std::vector<std::byte> page_of(std::uint8_t value) {
  return std::vector<std::byte>(kPage, static_cast<std::byte>(value));
}

/// Page n is full of `first` + n.
MemoryObject object_of(std::size_t count, std::uint8_t first) {
  std::vector<std::byte> bytes;
  for (std::size_t n = 0; n < count; ++n) {
    const auto page = page_of(static_cast<std::uint8_t>(first + n));
    bytes.insert(bytes.end(), page.begin(), page.end());
  }
  auto object = ept::host::FrozenObject::from_bytes("prior", bytes);
  EXPECT_TRUE(object);
  return MemoryObject(std::move(*object));
}

TEST(PriorPages, FindsAPageThatIsStillTheSame) {
  const auto object = object_of(4, 10);
  const auto prior = PriorPages::create({{pages(3, 1), object, 0}, {pages(8, 3), object, kPage}});
  ASSERT_TRUE(prior) << prior.error().text();
  const auto found = prior->find(uvm::Gpa(9 * kPage), page_of(12));
  ASSERT_TRUE(found);
  EXPECT_EQ(*found, (MemoryRegion{pages(9, 1), object, 2 * kPage}));
  auto changed = page_of(12);
  changed.back() = std::byte{0};
  EXPECT_FALSE(prior->find(uvm::Gpa(9 * kPage), changed));
  EXPECT_FALSE(prior->find(uvm::Gpa(11 * kPage), page_of(13))) << "not a page of the image";
  EXPECT_FALSE(prior->find(uvm::Gpa(4 * kPage), page_of(11)));
  EXPECT_FALSE(PriorPages().find(uvm::Gpa(0), page_of(1)));
}

TEST(PriorPages, ForgetsAnObjectOfWhichLittleIsTheSame) {
  const auto much = object_of(4, 10);
  const auto little = object_of(4, 20);
  auto prior = PriorPages::create({{pages(0, 4), much, 0}, {pages(4, 4), little, 0}});
  ASSERT_TRUE(prior);
  for (const std::uint64_t page : {0U, 1U, 4U}) {
    const auto value = static_cast<std::uint8_t>(page < 4 ? 10 + page : 16 + page);
    const auto found = prior->find(uvm::Gpa(page * kPage), page_of(value));
    ASSERT_TRUE(found) << page;
    prior->count(*found);
  }
  EXPECT_EQ(prior->keep_worthwhile(), 2U);
  EXPECT_TRUE(prior->find(uvm::Gpa(kPage), page_of(11)));
  EXPECT_FALSE(prior->find(uvm::Gpa(4 * kPage), page_of(20)));
}

TEST(PriorPages, KeepsNoMoreObjectsThanACopyCanBeGiven) {
  std::vector<MemoryRegion> changed;
  for (std::uint64_t n = 0; n < 2 * PriorPages::kMostObjects; ++n) {
    changed.push_back({pages(2 * n, 1), object_of(1, static_cast<std::uint8_t>(n)), 0});
  }
  auto prior = PriorPages::create(changed);
  ASSERT_TRUE(prior);
  for (const MemoryRegion& run : changed) prior->count(run);
  EXPECT_EQ(prior->keep_worthwhile(), PriorPages::kMostObjects);
}

TEST(RememberedPages, KeepNothingAlive) {
  MemoryImage image;
  const auto kept = object_of(1, 1);
  image.changed = {{pages(0, 1), kept, 0}, {pages(4, 1), object_of(1, 2), 0}};
  const RememberedPages remembered(image);
  EXPECT_EQ(remembered.alive(), image.changed);
  image.changed.pop_back();
  EXPECT_EQ(remembered.alive(), image.changed);
  EXPECT_EQ(remembered.objects(), std::vector{kept});
}

TEST(AppendRegion, JoinsWhatGoesOnInTheSameMemory) {
  const auto object = object_of(4, 1);
  std::vector<MemoryRegion> regions;
  append_region(regions, {pages(0, 1), object, 0});
  append_region(regions, {pages(1, 2), object, kPage});
  append_region(regions, {pages(3, 1), object, 0});
  append_region(regions, {pages(5, 1), object, kPage});
  append_region(regions, {pages(6, 1), nullptr, 2 * kPage});
  EXPECT_EQ(regions, (std::vector<MemoryRegion>{{pages(0, 3), object, 0},
                                                {pages(3, 1), object, 0},
                                                {pages(5, 1), object, kPage},
                                                {pages(6, 1), nullptr, 2 * kPage}}));
}

}  // namespace prior_pages_test
}  // namespace vmm::snapshot
