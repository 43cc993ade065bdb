// Snapshots that build on others: each holds what differs, all together are the memory that was written, and
// a base that is not what it was is refused by name.
#include "vmm/snapshot/snapshot_chain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ept/host/frozen_object.h"
#include "tests/support/temp_folder.h"
#include "vmm/snapshot/section_file.h"
#include "vmm/snapshot/snapshot_files.h"

namespace vmm::snapshot {
namespace snapshot_chain_test {

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
    return write_snapshot(dir(name), state(), image_of(memory_), {base.empty() ? base : dir(base), packing_});
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
  Packing packing_ = Packing::None;
};

/// The same compressed.
class PackedChain : public SnapshotChain {
 protected:
  PackedChain() { packing_ = Packing::Zstd; }
  /// What zstd makes little of.
  void repeat(uvm::GpaRange range) {
    for (std::uint64_t at = range.begin().value(); at < range.end().value(); ++at) {
      memory_[at] = static_cast<std::byte>(at / 64 % 251);
    }
  }
  [[nodiscard]] std::string memory_path(const std::string& name) const { return dir(name) + "/memory-1"; }
};

TEST_F(PackedChain, IsReadAsAWholeAndTakesLessRoom) {
  repeat(pages(300, 600));
  const auto one = write("one");
  ASSERT_TRUE(one) << one.error().text();
  EXPECT_EQ(one->memory, std::filesystem::file_size(memory_path("one")));
  EXPECT_LT(one->memory, 310 * kPage) << "300 pages that cannot be compressed, and 300 that can";
  EXPECT_GT(one->memory, 300 * kPage);
  expect_is("one", memory_);
  const Bytes before = memory_;
  fill(pages(100, 140));
  zero(pages(200, 201));
  fill(pages(kPages - 1, kPages));
  ASSERT_TRUE(write("two", "one"));
  expect_is("two", memory_);
  packing_ = Packing::None;
  fill(pages(130, 150));
  ASSERT_TRUE(write("three", "two")) << "a plain one over two that are packed";
  expect_is("three", memory_);
  packing_ = Packing::Zstd;
  ASSERT_TRUE(write("same", "three")) << "with nothing of its own";
  expect_is("same", memory_);
  expect_is("one", before);
}

TEST_F(PackedChain, CollapsedItIsPackedStill) {
  repeat(pages(300, 600));
  ASSERT_TRUE(write("one"));
  fill(pages(100, 140));
  ASSERT_TRUE(write("two", "one"));
  const auto collapsed = collapse_snapshot(dir("two"));
  ASSERT_TRUE(collapsed) << collapsed.error().text();
  EXPECT_LT(collapsed->written.memory, 310 * kPage);
  std::filesystem::remove_all(dir("one"));
  expect_is("two", memory_);
}

TEST_F(PackedChain, DamageAnywhereIsToldAndNotRestored) {
  repeat(pages(300, 600));
  ASSERT_TRUE(write("one"));
  const std::uint64_t size = std::filesystem::file_size(memory_path("one"));
  for (std::uint64_t at : {std::uint64_t{0}, std::uint64_t{40}, size / 3, size / 2, size - 1}) {
    std::fstream file(memory_path("one"), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const auto was = static_cast<char>(file.get());
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(was ^ 0x10)).flush();
    EXPECT_THAT(refusal("one"), testing::HasSubstr("memory-1 is damaged at byte ")) << at;
    file.seekp(static_cast<std::streamoff>(at));
    file.put(was);
  }
  expect_is("one", memory_);
  std::filesystem::resize_file(memory_path("one"), size - 1);
  EXPECT_THAT(refusal("one"), testing::HasSubstr("bytes of " + std::to_string(size)));
}

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
  const auto refused = write_snapshot(dir("two"), state(), smaller, {.base = dir("one")});
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

/// A chain of three levels, with short and long runs, and zeros over what is none.
class Collapse : public SnapshotChain {
 protected:
  void SetUp() override {
    fill(pages(0, 300));
    write_chain();
  }
  void write_chain() {
    written("one");
    fill(pages(10, 12));
    fill(pages(100, 140));
    written("two", "one");
    zero(pages(200, 230));
    fill(pages(130, 150));
    written("three", "two");
  }
  [[nodiscard]] static std::size_t levels(const std::string& directory) {
    const auto chain = read_chain(directory);
    EXPECT_TRUE(chain) << chain.error().text();
    return chain ? chain->size() : 0;
  }
  [[nodiscard]] std::vector<std::string> files(const std::string& name) const {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(dir(name))) all.push_back(entry.path().filename());
    std::ranges::sort(all);
    return all;
  }
  [[nodiscard]] std::string refused(const std::string& name) const {
    const auto done = collapse_snapshot(dir(name));
    if (done) return "nothing was refused";
    EXPECT_EQ(done.error().text().find('\n'), std::string::npos) << done.error().text();
    return done.error().text();
  }
};

TEST_F(Collapse, ASnapshotStandsAloneAfterIt) {
  std::uint64_t told = 0;
  const auto done = collapse_snapshot(dir("three"), [&](std::uint64_t at, std::uint64_t) { told = at; });
  ASSERT_TRUE(done) << done.error().text();
  EXPECT_EQ(done->levels, 3U);
  EXPECT_EQ(done->written.memory, 270 * kPage) << "zeros are holes";
  EXPECT_GT(told, 0U);
  fs::remove_all(dir("one"));
  fs::remove_all(dir("two"));
  EXPECT_EQ(levels(dir("three")), 1U);
  expect_is("three", memory_);
  EXPECT_EQ(files("three"), (std::vector<std::string>{"memory-2", "state"}));
  // Once more is nothing to do.
  const auto again = collapse_snapshot(dir("three"));
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(again->levels, 1U);
  EXPECT_EQ(files("three"), (std::vector<std::string>{"memory-2", "state"}));
}

TEST_F(Collapse, WhatBuildsOnItStillDoesUntilItIsReplaced) {
  const Bytes three = memory_;
  ASSERT_TRUE(collapse_snapshot(dir("two")));
  fs::remove_all(dir("one"));
  EXPECT_EQ(levels(dir("three")), 2U);
  expect_is("three", three);
  // A new one on the old one's new form, and the chain goes on.
  fill(pages(3, 4));
  written("four", "three");
  written("five", "two");
  expect_is("four", memory_);
  expect_is("five", memory_);
  ASSERT_TRUE(collapse_snapshot(dir("three")));
  fs::remove_all(dir("five"));
  expect_is("four", memory_);
  written("two");
  EXPECT_EQ(levels(dir("four")), 2U);
  written("three");
  EXPECT_THAT(refusal("four"), HasSubstr("builds on " + dir("three") + " as it was with identity"));
}

TEST_F(Collapse, WhoHasItOpenKeepsWhatItHas) {
  const auto before = read_snapshot(dir("three"));
  ASSERT_TRUE(before);
  ASSERT_TRUE(collapse_snapshot(dir("three")));
  for (const char* gone : {"one", "two", "three"}) fs::remove_all(dir(gone));
  const auto view = ImageView::create(before->memory);
  ASSERT_TRUE(view);
  Bytes there(kHole * kPage);
  view->read(uvm::Gpa(0), there);
  EXPECT_EQ(std::memcmp(there.data(), memory_.data(), there.size()), 0);
}

TEST_F(Collapse, DamageAnywhereIsRefusedAndNothingIsChanged) {
  for (const char* level : {"one", "two", "three"}) {
    const std::string memory = dir(level) + "/memory-1";
    fs::copy_file(memory, dir("kept"), fs::copy_options::overwrite_existing);
    std::fstream(memory, std::ios::binary | std::ios::in | std::ios::out).seekp(140 * kPage + 5).put('x');
    EXPECT_THAT(refused("three"), HasSubstr(memory + " is damaged at byte 0"));
    fs::copy_file(dir("kept"), memory, fs::copy_options::overwrite_existing);
    EXPECT_EQ(files("three"), (std::vector<std::string>{"memory-1", "state"}));
  }
  fs::rename(dir("one"), dir("away"));
  EXPECT_THAT(refused("three"), HasSubstr("builds on " + dir("one") + ", and there is no snapshot"));
  fs::rename(dir("away"), dir("one"));
  EXPECT_THAT(refused("nowhere"), HasSubstr("there is none in " + dir("nowhere")));
  EXPECT_FALSE(fs::exists(dir("nowhere")));
  expect_is("three", memory_);
}

TEST_F(Collapse, KilledAtAnyMomentItIsTheSameInOneFormOrTheOther) {
  std::size_t before = 0;
  std::size_t after = 0;
  for (int moment = 0; moment < 40; ++moment) {
    const pid_t child = ::fork();
    if (child == 0) {
      static_cast<void>(collapse_snapshot(dir("three")));
      for (;;) ::pause();
    }
    std::this_thread::sleep_for(std::chrono::microseconds(moment * 500));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    expect_is("three", memory_);
    ++(levels(dir("three")) == 1 ? after : before);
    if (levels(dir("three")) == 1) write_chain();
  }
  EXPECT_GT(before, 0U);
  ASSERT_TRUE(collapse_snapshot(dir("three")));
  expect_is("three", memory_);
  EXPECT_EQ(files("three").size(), 2U) << "what the killed ones left is gone";
}

TEST_F(Collapse, ReadersMeanwhileSeeOneFormOrTheOther) {
  const pid_t child = ::fork();
  if (child == 0) {
    bool good = true;
    for (int i = 0; i < 30 && good; ++i) {
      good = collapse_snapshot(dir("three")) &&
             write_snapshot(dir("three"), state(), image_of(memory_), {.base = dir("two")});
    }
    ::_exit(good ? 0 : 1);
  }
  int status = 0;
  std::size_t reads = 0;
  for (; ::waitpid(child, &status, WNOHANG) == 0; ++reads) {
    const auto saved = read_snapshot(dir("three"), Verify::State);
    ASSERT_TRUE(saved) << saved.error().text();
  }
  EXPECT_EQ(status, 0);
  EXPECT_GT(reads, 0U);
  expect_is("three", memory_);
}

TEST_F(Collapse, AFullDiskLeavesItAsItWas) {
  const std::string disk = dir("disk");
  fs::create_directory(disk);
  if (::mount("snapshot", disk.c_str(), "tmpfs", 0, "size=8m") != 0) {
    GTEST_SKIP() << "no file system can be mounted here";
  }
  written("disk/four", "three");
  fill(pages(20, 21));
  written("disk/four", "three");
  // From no room at all to a page less than its memory and its state take.
  for (const std::uint64_t left : {0U, 1U, 100U, 270U}) {
    {
      std::ofstream filler(disk + "/filler", std::ios::binary);
      filler << std::string(fs::space(disk).available - left * kPage, 'x');
    }
    EXPECT_THAT(refused("disk/four"), HasSubstr("make room")) << left;
    fs::remove(disk + "/filler");
    EXPECT_EQ(levels(dir("disk/four")), 4U);
    EXPECT_EQ(files("disk/four").size(), 2U);
    expect_is("disk/four", memory_);
  }
  ASSERT_TRUE(collapse_snapshot(dir("disk/four")));
  expect_is("disk/four", memory_);
  ::umount2(disk.c_str(), MNT_DETACH);
}

}  // namespace snapshot_chain_test
}  // namespace vmm::snapshot
