// Where memory is, told to another process: what fits its objects comes out as it went in, all else is
// refused.
#include "vmm/snapshot/image_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "ept/host/frozen_object.h"
#include "vmm/snapshot/section_fields.h"

namespace vmm::snapshot {
namespace image_layout_test {

using ::testing::HasSubstr;

constexpr std::uint64_t kPage = uvm::kPageSize;

uvm::GpaRange pages(std::uint64_t first, std::uint64_t count) {
  return *uvm::GpaRange::from_size(uvm::Gpa(first * kPage), count * kPage);
}

/// Whose page n begins with byte `mark` + n.
MemoryObject marked(std::size_t count, std::uint8_t mark) {
  std::vector<std::byte> bytes(count * kPage);
  for (std::size_t n = 0; n < count; ++n) bytes[n * kPage] = static_cast<std::byte>(mark + n);
  auto object = ept::host::FrozenObject::from_bytes("marked", bytes);
  EXPECT_TRUE(object);
  return MemoryObject(std::move(*object));
}

/// 8 pages of an object, 8 of zeros, 8 of the same object further on; pages 2, 3 and 9 changed.
MemoryImage example() {
  MemoryImage image;
  const MemoryObject base = marked(16, 0x10);
  image.regions = {{pages(0, 8), base, 0}, {pages(8, 8), nullptr, 0}, {pages(16, 8), base, 8 * kPage}};
  const MemoryObject first = marked(2, 0x80);
  image.changed = {{pages(2, 2), first, 0}, {pages(9, 1), marked(3, 0x80), 2 * kPage}};
  return image;
}

std::uint8_t first_byte(const ImageView& view, std::uint64_t page) {
  std::vector<std::byte> bytes(kPage);
  view.read(uvm::Gpa(page * kPage), bytes);
  return std::to_integer<std::uint8_t>(bytes[0]);
}

TEST(MemoryImage, IsReadThroughItsLayers) {
  const auto view = ImageView::create(example());
  ASSERT_TRUE(view) << view.error().text();
  const std::vector<std::uint8_t> expected{0x10, 0x11, 0x80, 0x81, 0x14, 0x15, 0x16, 0x17,
                                           0,    0x82, 0,    0,    0,    0,    0,    0,
                                           0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f};
  std::vector<std::byte> all(expected.size() * kPage);
  view->read(uvm::Gpa(0), all);
  for (std::size_t page = 0; page < expected.size(); ++page) {
    EXPECT_EQ(first_byte(*view, page), expected[page]) << page;
    EXPECT_EQ(std::to_integer<std::uint8_t>(all[page * kPage]), expected[page]) << page;
  }
  EXPECT_EQ(view->image().changed_pages(), 3U);
}

TEST(ImageLayout, TravelsAsASection) {
  const MemoryImage image = example();
  std::vector<MemoryObject> objects;
  ImageLayout layout(image, objects);
  EXPECT_EQ(objects.size(), 3U);
  SectionWriter writer;
  save(writer, layout);
  const auto bytes = std::move(writer).finish();
  const auto table = SectionTable::read(bytes);
  ASSERT_TRUE(table);
  ImageLayout other;
  ASSERT_TRUE(restore(*table, other));
  const auto resolved = other.resolve(objects);
  ASSERT_TRUE(resolved) << resolved.error().text();
  EXPECT_EQ(resolved->changed, image.changed);
  EXPECT_EQ(resolved->regions, image.regions);
}

TEST(ImageLayout, WhatDoesNotFitIsRefused) {
  const auto refusal = [](const MemoryImage& image, bool without_objects = false) {
    std::vector<MemoryObject> objects;
    const ImageLayout layout(image, objects);
    if (without_objects) objects.clear();
    const auto resolved = layout.resolve(objects);
    return resolved ? std::string("taken") : resolved.error().text();
  };
  EXPECT_EQ(refusal(example()), "taken");
  EXPECT_THAT(refusal(example(), true), HasSubstr("object 1 of 0"));
  auto image = example();
  image.regions[2].offset = 9 * kPage;  // one page past the end
  EXPECT_THAT(refusal(image), HasSubstr("region 0x10000 is impossible"));
  image = example();
  image.regions[1].range = pages(7, 8);
  EXPECT_THAT(refusal(image), HasSubstr("region 0x7000 is impossible"));
  image = example();
  image.changed[1].range = pages(3, 1);
  EXPECT_THAT(refusal(image), HasSubstr("changed pages at 0x3000"));
  image = example();
  image.changed[1].offset += kPage;  // one page past the end
  EXPECT_THAT(refusal(image), HasSubstr("changed pages at 0x9000"));
  image = example();
  image.changed.push_back({pages(12, 1), nullptr, 0});
  EXPECT_THAT(refusal(image), HasSubstr("changed pages are missing"));
}

TEST(ImageLayout, RandomContentIsTakenOrRefusedAndHarmsNobody) {
  const std::vector<MemoryObject> objects{marked(4, 1)};
  std::mt19937_64 random(19);
  for (int round = 0; round < 5000; ++round) {
    std::vector<std::byte> content(random() % 160);
    for (std::byte& byte : content) byte = static_cast<std::byte>(random() % 3 == 0 ? random() : 0);
    SectionWriter writer;
    writer.add({"memory", 0, 1, Unknown::Skip, content});
    const auto bytes = std::move(writer).finish();
    const auto table = SectionTable::read(bytes);
    ASSERT_TRUE(table);
    ImageLayout layout;
    if (!restore(*table, layout)) continue;
    if (const auto image = layout.resolve(objects)) static_cast<void>(ImageView::create(*image));
  }
}

}  // namespace image_layout_test
}  // namespace vmm::snapshot
