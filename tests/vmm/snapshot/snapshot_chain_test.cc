// Snapshots that build on others: each holds what differs, all together are the memory that was written, and
// a base that is not what it was is refused by name.
#include "vmm/snapshot/snapshot_chain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <random>
#include <string>

#include "ept/host/frozen_object.h"
#include "tests/support/temp_folder.h"
#include "vmm/snapshot/section_file.h"
#include "vmm/snapshot/snapshot_files.h"

namespace vmm::snapshot {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Bytes = std::vector<std::byte>;

constexpr std::uint64_t kPage = uvm::kPageSize;
constexpr std::uint64_t kPages = 1200;
// RAM is in two ranges.
constexpr std::uint64_t kHole = 700;
constexpr std::uint64_t kHoleEnd = 800;

uvm::GpaRange pages(std::uint64_t first, std::uint64_t end) {
  return *uvm::GpaRange::from_bounds(uvm::Gpa(first * kPage), uvm::Gpa(end * kPage));
}

class SnapshotChain : public testing::Test {
 protected:
  void SetUp() override { fill(pages(0, 300)); }

  [[nodiscard]] std::string dir(const std::string& name) const { return folder_.file(name); }

  void fill(uvm::GpaRange range) {
    for (std::uint64_t at = range.begin().value(); at < range.end().value(); at += sizeof(std::uint64_t)) {
      const std::uint64_t value = random_();
      std::memcpy(memory_.data() + at, &value, sizeof value);
    }
  }
  void zero(uvm::GpaRange range) { std::memset(memory_.data() + range.begin().value(), 0, range.size()); }

  [[nodiscard]] static MemoryImage image_of(const Bytes& memory) {
    auto object = ept::host::FrozenObject::from_bytes("image", memory);
    EXPECT_TRUE(object);
    const MemoryObject shared(*std::move(object));
    MemoryImage image;
    image.regions = {{pages(0, kHole), shared, 0}, {pages(kHoleEnd, kPages), shared, kHoleEnd * kPage}};
    return image;
  }
  [[nodiscard]] static Bytes state() {
    SectionWriter writer;
    writer.add({"first", 0, 1, Unknown::Refuse, {}});
    return std::move(writer).finish();
  }
  uvm::Result<WrittenBytes> write(const std::string& name, const std::string& base = {}) {
    return write_snapshot(dir(name), state(), image_of(memory_), base.empty() ? base : dir(base));
  }
  /// Pages written.
  std::uint64_t written(const std::string& name, const std::string& base = {}) {
    const auto done = write(name, base);
    EXPECT_TRUE(done) << done.error().text();
    return done ? done->memory / kPage : 0;
  }
  void expect_is(const std::string& name, const Bytes& memory) const {
    const auto saved = read_snapshot(dir(name));
    ASSERT_TRUE(saved) << saved.error().text();
    const auto view = ImageView::create(saved->memory);
    ASSERT_TRUE(view);
    for (const uvm::GpaRange range : {pages(0, kHole), pages(kHoleEnd, kPages)}) {
      Bytes there(range.size());
      view->read(range.begin(), there);
      EXPECT_EQ(std::memcmp(there.data(), memory.data() + range.begin().value(), there.size()), 0) << name;
    }
  }
  [[nodiscard]] std::string refusal(const std::string& name) const {
    const auto saved = read_snapshot(dir(name));
    if (saved) return "nothing was refused";
    EXPECT_EQ(saved.error().text().find('\n'), std::string::npos) << saved.error().text();
    return saved.error().text();
  }

  const test::TempFolder folder_{"chain"};
  Bytes memory_ = Bytes(kPages * kPage);
  std::mt19937_64 random_{3};
};

TEST_F(SnapshotChain, HoldsWhatDiffersAndIsReadAsAWhole) {
  EXPECT_EQ(written("one"), 300U);
  const Bytes one = memory_;
  fill(pages(10, 12));    // a short run
  fill(pages(100, 140));  // a long one
  zero(pages(200, 201));  // zeros that the base has not
  fill(pages(699, 700));  // at the hole's edges
  fill(pages(800, 801));
  EXPECT_EQ(written("two", "one"), 44U);
  const Bytes two = memory_;
  zero(pages(11, 12));
  fill(pages(120, 121));
  fill(pages(1190, 1200));
  EXPECT_EQ(written("three", "two"), 11U);
  expect_is("three", memory_);
  expect_is("two", two);
  expect_is("one", one);
  EXPECT_EQ(written("same", "three"), 0U);
  expect_is("same", memory_);
}

TEST_F(SnapshotChain, ScatteredPagesOfManyLevels) {
  ASSERT_EQ(written("0"), 300U);
  for (int level = 1; level < 12; ++level) {
    for (int i = 0; i < 40; ++i) {
      const std::uint64_t page = random_() % kHole;
      const std::uint64_t end = std::min(page + 1 + random_() % 30, kHole);
      random_() % 3 == 0 ? zero(pages(page, end)) : fill(pages(page, end));
    }
    ASSERT_TRUE(write(std::to_string(level), std::to_string(level - 1)));
    expect_is(std::to_string(level), memory_);
  }
  const auto levels = read_chain(dir("11"));
  ASSERT_TRUE(levels);
  EXPECT_EQ(levels->size(), 12U);
}

TEST_F(SnapshotChain, AMissingOrForeignBaseIsRefusedByName) {
  written("one");
  fill(pages(5, 6));
  written("two", "one");
  written("three", "two");
  const Bytes three = memory_;
  fs::rename(dir("one"), dir("away"));
  EXPECT_THAT(refusal("three"), HasSubstr("snapshot " + dir("two") + " builds on " + dir("one") +
                                          ", and there is no snapshot"));
  EXPECT_FALSE(write("four", "three"));
  fill(pages(7, 8));
  written("one");
  EXPECT_THAT(refusal("three"), HasSubstr("builds on " + dir("one") + " as it was with identity"));
  fs::remove_all(dir("one"));
  ASSERT_EQ(::mkdir(dir("one").c_str(), 0700), 0);
  ASSERT_EQ(::mkfifo((dir("one") + "/state").c_str(), 0600), 0);
  EXPECT_THAT(refusal("three"), HasSubstr("builds on " + dir("one") + ": "));
  fs::remove_all(dir("one"));
  fs::rename(dir("away"), dir("one"));
  expect_is("three", three);
}

TEST_F(SnapshotChain, DamageInTheBaseIsToldOfTheBase) {
  written("one");
  fill(pages(5, 6));
  written("two", "one");
  fs::resize_file(dir("one") + "/memory-1", 0);
  EXPECT_THAT(refusal("two"), HasSubstr(dir("one") + "/memory-1"));
  fs::resize_file(dir("one") + "/memory-1", kPages * kPage);
  EXPECT_THAT(refusal("two"), HasSubstr(dir("one") + "/memory-1 is damaged"));
  const auto unread = read_snapshot(dir("two"), Verify::State);
  EXPECT_TRUE(unread) << unread.error().text();
}

TEST_F(SnapshotChain, MovesAsAWhole) {
  ASSERT_EQ(::mkdir(dir("all").c_str(), 0700), 0);
  written("all/one");
  fill(pages(5, 6));
  written("all/two", "all/one");
  fs::rename(dir("all"), dir("elsewhere"));
  expect_is("elsewhere/two", memory_);
}

TEST_F(SnapshotChain, WhatItBuildsOnIsNotReplacedByIt) {
  written("one");
  written("two", "one");
  for (const char* target : {"one", "two"}) {
    const auto refused = write(target, "two");
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().text(), HasSubstr(dir(target) + " is what the new one would build on"));
  }
  expect_is("two", memory_);
}

TEST_F(SnapshotChain, OtherMemoryIsNoBase) {
  written("one");
  MemoryImage smaller = image_of(memory_);
  smaller.regions.pop_back();
  const auto refused = write_snapshot(dir("two"), state(), smaller, dir("one"));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("is of a machine with other memory"));
}

TEST_F(SnapshotChain, HasAnEnd) {
  written("0");
  for (std::size_t level = 1; level < kMostLevels; ++level) {
    written(std::to_string(level), std::to_string(level - 1));
  }
  const auto refused = write("more", std::to_string(kMostLevels - 1));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("builds on 63 others, which is the most"));
  expect_is(std::to_string(kMostLevels - 1), memory_);
}

}  // namespace
}  // namespace vmm::snapshot
