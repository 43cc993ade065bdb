// A snapshot's directory: what was written is read again, and whatever else is there is refused in one line.
// Whatever ends a writer, the snapshot before stays whole.
#include "vmm/snapshot/snapshot_files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <thread>

#include "ept/host/frozen_object.h"
#include "tests/support/temp_folder.h"
#include "vmm/snapshot/section_file.h"

namespace vmm::snapshot {
namespace snapshot_files_test {

namespace fs = std::filesystem;
using ::test::flip;
using ::testing::HasSubstr;
using Bytes = std::vector<std::byte>;

constexpr std::uint64_t kPage = uvm::kPageSize;
constexpr std::uint64_t kPages = 1024;
constexpr std::size_t kHeader = 24;  // of the file, and of a section

/// Random pages and zeros by turns of 16.
MemoryImage image_of(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(kPages * kPage);
  for (std::uint64_t page = 0; page < kPages; ++page) {
    if (page / 16 % 2 == 1) continue;
    for (std::uint64_t at = 0; at < kPage; at += sizeof(std::uint64_t)) {
      const std::uint64_t value = random();
      std::memcpy(bytes.data() + page * kPage + at, &value, sizeof value);
    }
  }
  auto object = ept::host::FrozenObject::from_bytes("image", bytes);
  EXPECT_TRUE(object);
  MemoryImage image;
  image.regions = {
      {*uvm::GpaRange::from_size(uvm::Gpa(0), kPages * kPage), MemoryObject(*std::move(object)), 0}};
  return image;
}

Bytes state_of(std::string_view content) {
  SectionWriter writer;
  writer.add({"first", 0, 1, Unknown::Refuse, std::as_bytes(std::span(content))});
  writer.add({"second", 0, 1, Unknown::Refuse, std::as_bytes(std::span(content))});
  return std::move(writer).finish();
}

Bytes contents(const MemoryImage& image) {
  const auto view = ImageView::create(image);
  EXPECT_TRUE(view);
  Bytes bytes(kPages * kPage);
  view->read(uvm::Gpa(0), bytes);
  return bytes;
}

Bytes bytes_in(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

void put(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

/// Where each section begins, and the end.
std::vector<std::size_t> boundaries(std::span<const std::byte> state) {
  const auto table = SectionTable::read(state);
  EXPECT_TRUE(table);
  std::vector<std::size_t> all{0, kHeader};
  for (const Section& section : table->all()) {
    all.push_back(all.back() + kHeader + section.name.size() + section.content.size());
  }
  return all;
}

class SnapshotFiles : public testing::Test {
 protected:
  void SetUp() override {
    const auto written = write_snapshot(directory_, state_of("old"), old_);
    ASSERT_TRUE(written) << written.error().text();
  }
  void TearDown() override {
    static_cast<void>(::umount2(folder_.file("disk").c_str(), MNT_DETACH));  // most have none
  }

  [[nodiscard]] std::string file(const std::string& name) const { return directory_ + "/" + name; }

  /// The error of reading, which there has to be, in one line.
  [[nodiscard]] std::string refusal() const {
    const auto saved = read_snapshot(directory_);
    if (saved) return "nothing was refused";
    EXPECT_EQ(saved.error().text().find('\n'), std::string::npos) << saved.error().text();
    EXPECT_THAT(saved.error().text(), HasSubstr(directory_));
    return saved.error().text();
  }
  void expect_is(const MemoryImage& image) const {
    const auto saved = read_snapshot(directory_);
    ASSERT_TRUE(saved) << saved.error().text();
    EXPECT_TRUE(contents(saved->memory) == contents(image));
  }
  /// state and one memory file, of the snapshot in use.
  void expect_nothing_is_left() const {
    const fs::directory_iterator files(directory_);
    EXPECT_EQ(std::distance(begin(files), end(files)), 2);
  }

  const test::TempFolder folder_{"snapshot"};
  std::string directory_ = folder_.file("dir");
  const MemoryImage old_ = image_of(1);
  const MemoryImage fresh_ = image_of(2);
};

TEST_F(SnapshotFiles, WhatIsWrittenIsRead) {
  expect_is(old_);
  const auto saved = read_snapshot(directory_);
  const auto table = SectionTable::read(saved->description);
  ASSERT_TRUE(table);
  EXPECT_TRUE(table->find("second", 0, 1));
  struct stat info {};
  ASSERT_EQ(::stat(file("memory-1").c_str(), &info), 0);
  EXPECT_LT(static_cast<std::uint64_t>(info.st_blocks) * 512, kPages * kPage * 6 / 10);
}

TEST_F(SnapshotFiles, AStateCutAnywhereIsRefused) {
  const Bytes state = bytes_in(file("state"));
  std::vector<std::size_t> cuts = boundaries(state);
  ASSERT_EQ(cuts.back(), state.size());
  ASSERT_EQ(cuts.size(), 6U);
  cuts.pop_back();
  for (const std::size_t boundary : std::vector(cuts)) {
    for (const std::size_t more : {1U, 23U, 24U, 25U, 30U}) cuts.push_back(boundary + more);
  }
  for (const std::size_t cut : cuts) {
    put(file("state"), std::span(state).first(cut));
    EXPECT_THAT(refusal(), HasSubstr("machine state: ")) << cut;
  }
}

TEST_F(SnapshotFiles, EveryFlippedByteOfTheStateIsRefused) {
  const Bytes state = bytes_in(file("state"));
  for (std::size_t at = 0; at < state.size(); ++at) {
    Bytes damaged = state;
    damaged[at] ^= std::byte{0x20};
    put(file("state"), damaged);
    EXPECT_THAT(refusal(), HasSubstr("machine state: ")) << at;
  }
}

TEST_F(SnapshotFiles, DamagedMemoryIsRefusedWithItsPlace) {
  // The first byte, the last, one of a hole.
  for (const std::uint64_t at : {std::uint64_t{0}, kPages * kPage - 1, std::uint64_t{20} * kPage}) {
    flip(file("memory-1"), at);
    EXPECT_THAT(refusal(), HasSubstr("memory-1 is damaged at byte " + std::to_string(at >> 20 << 20)));
    flip(file("memory-1"), at);
  }
  expect_is(old_);
}

TEST_F(SnapshotFiles, MemoryOfAnotherSizeIsRefused) {
  for (const std::uint64_t size : {std::uint64_t{0}, kPage, kPages * kPage - 1, kPages * kPage + 1}) {
    fs::resize_file(file("memory-1"), size);
    EXPECT_THAT(refusal(), HasSubstr("memory-1")) << size;
  }
}

TEST_F(SnapshotFiles, TheFilesOfTwoSnapshotsAreNotMixed) {
  const std::string other = folder_.file("other");
  ASSERT_TRUE(write_snapshot(other, state_of("new"), fresh_));
  fs::rename(file("state"), file("kept"));
  fs::copy_file(other + "/state", file("state"));
  EXPECT_THAT(refusal(), HasSubstr("memory-1 is damaged"));
  fs::rename(file("kept"), file("state"));
  fs::remove(file("memory-1"));
  fs::copy_file(other + "/memory-1", file("memory-1"));
  EXPECT_THAT(refusal(), HasSubstr("memory-1 is damaged"));
}

TEST_F(SnapshotFiles, OtherVersionsAreRefusedByTheirNumber) {
  Bytes state = bytes_in(file("state"));
  state[8] = std::byte{9};  // the format
  put(file("state"), state);
  EXPECT_THAT(refusal(), HasSubstr("format 9; this uvmm reads format 1"));
  state[8] = std::byte{1};
  for (const char* younger : {"memory", "memory-file"}) {
    const auto table = SectionTable::read(state);
    ASSERT_TRUE(table) << table.error().text();
    SectionWriter writer;
    for (Section section : table->all()) {
      if (section.name == younger) section.version = 7;
      writer.add(section);
    }
    put(file("state"), std::move(writer).finish());
    EXPECT_THAT(refusal(), HasSubstr(std::string("section ") + younger + " is of version 7"));
  }
}

TEST_F(SnapshotFiles, WhatIsNoFileIsRefusedAndNotWaitedFor) {
  for (const char* name : {"state", "memory-1"}) {
    const Bytes bytes = bytes_in(file(name));
    fs::remove(file(name));
    EXPECT_THAT(refusal(), HasSubstr(name));
    ASSERT_EQ(::mkfifo(file(name).c_str(), 0600), 0);
    EXPECT_THAT(refusal(), HasSubstr(name));
    fs::remove(file(name));
    fs::create_directory(file(name));
    EXPECT_THAT(refusal(), HasSubstr(name));
    fs::remove(file(name));
    put(file(name), bytes);
  }
  expect_is(old_);
}

TEST_F(SnapshotFiles, ANameThatLeadsElsewhereIsRefused) {
  Bytes state = bytes_in(file("state"));
  for (const std::string name : {"memory-", "memory-\n", "memory-1/../x", "../memory-1", "memory-1\x1b[2J"}) {
    const auto table = SectionTable::read(state);
    ASSERT_TRUE(table);
    SectionWriter writer;
    for (Section section : table->all()) {
      Bytes content(section.content.begin(), section.content.end());
      if (section.name == "memory-file") {
        const std::uint64_t length = name.size();
        content.erase(content.begin(), content.begin() + 8 + 8);  // of "memory-1"
        const auto raw = std::as_bytes(std::span(name));
        content.insert(content.begin(), raw.begin(), raw.end());
        const auto count = std::as_bytes(std::span(&length, 1));
        content.insert(content.begin(), count.begin(), count.end());
      }
      section.content = content;
      writer.add(section);
    }
    put(file("state"), std::move(writer).finish());
    EXPECT_THAT(refusal(), HasSubstr("its file is impossible")) << name;
  }
}

TEST_F(SnapshotFiles, TwoWritersDoNotMeet) {
  const int held = ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(::flock(held, LOCK_EX), 0);
  const auto refused = write_snapshot(directory_, state_of("new"), fresh_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), uvm::ErrorKind::Busy);
  EXPECT_THAT(refused.error().text(), HasSubstr("somebody else is writing a snapshot into " + directory_));
  ::close(held);
  ASSERT_TRUE(write_snapshot(directory_, state_of("new"), fresh_));
  expect_is(fresh_);
}

/// Runs `work` in a process of its own; true: it said so.
bool in_a_child(const std::function<bool()>& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work() ? 0 : 1);
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  return status == 0;
}

TEST_F(SnapshotFiles, AFileTooLargeLeavesTheOldOneWhole) {
  // Less than the state, and less than the memory.
  for (const rlim_t limit : {rlim_t{64}, rlim_t{kPage}, rlim_t{kPages * kPage - 1}}) {
    EXPECT_TRUE(in_a_child([&] {
      std::signal(SIGXFSZ, SIG_IGN);
      const rlimit tight{limit, limit};
      if (::setrlimit(RLIMIT_FSIZE, &tight) != 0) return false;
      const auto refused = write_snapshot(directory_, state_of("new"), fresh_);
      return !refused && refused.error().text().find("make room") != std::string::npos &&
             refused.error().text().find('\n') == std::string::npos;
    })) << limit;
    expect_is(old_);
    expect_nothing_is_left();
  }
}

TEST_F(SnapshotFiles, AFullDiskLeavesTheOldOneWhole) {
  const std::string disk = folder_.file("disk");
  fs::create_directory(disk);
  if (::mount("snapshot", disk.c_str(), "tmpfs", 0, "size=8m") != 0) {
    GTEST_SKIP() << "no file system can be mounted here";
  }
  directory_ = disk + "/dir";
  ASSERT_TRUE(write_snapshot(directory_, state_of("old"), old_));
  // From no room at all to a few pages less than it takes: memory is half of 4 MiB, the state one page.
  for (const std::uint64_t left : {0U, 1U, 100U, 511U, 512U}) {
    const std::string filler = disk + "/filler";
    const std::uint64_t there = fs::space(disk).available;
    put(filler, Bytes(there - left * kPage));
    const auto refused = write_snapshot(directory_, state_of("new"), fresh_);
    ASSERT_FALSE(refused) << left;
    EXPECT_THAT(refused.error().text(), HasSubstr("make room")) << left;
    fs::remove(filler);  // tmpfs makes pages of holes that are mapped and read
    expect_is(old_);
    expect_nothing_is_left();
  }
  EXPECT_TRUE(write_snapshot(directory_, state_of("new"), fresh_));
  expect_is(fresh_);
}

TEST_F(SnapshotFiles, AWriterKilledAtAnyMomentLeavesOneOfThemWhole) {
  const Bytes before = contents(old_);
  const Bytes after = contents(fresh_);
  int old_ones = 0;
  for (int moment = 0; moment < 30; ++moment) {
    ASSERT_TRUE(write_snapshot(directory_, state_of("old"), old_));
    const pid_t child = ::fork();
    if (child == 0) {
      static_cast<void>(write_snapshot(directory_, state_of("new"), fresh_));
      for (;;) ::pause();
    }
    std::this_thread::sleep_for(std::chrono::microseconds(moment * 300));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    const auto saved = read_snapshot(directory_);
    ASSERT_TRUE(saved) << saved.error().text();
    const Bytes there = contents(saved->memory);
    const bool is_old = there == before;
    old_ones += is_old ? 1 : 0;
    EXPECT_TRUE(is_old || there == after) << moment;
  }
  EXPECT_GT(old_ones, 0);
  ASSERT_TRUE(write_snapshot(directory_, state_of("new"), fresh_));
  expect_is(fresh_);
  expect_nothing_is_left();
}

}  // namespace snapshot_files_test
}  // namespace vmm::snapshot
