// A disk of one's own: what is in it, what it costs, and when it is refused.
#include "vmm/virtio/blk/disk_copy.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/process.h"
#include "tests/support/temp_folder.h"

namespace vmm::virtio::blk {
namespace copy_test {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string bytes_at(const Fd& fd, std::uint64_t offset, std::size_t count) {
  std::string bytes(count, '?');
  EXPECT_EQ(::pread(fd.get(), bytes.data(), count, static_cast<off_t>(offset)), static_cast<ssize_t>(count));
  return bytes;
}

class BlkCopy : public testing::Test {
 protected:
  static constexpr std::uint64_t kBytes = std::uint64_t{64} << 20U;
  static constexpr std::uint64_t kFar = kBytes - 8192;

  /// Mostly a hole.
  static Options make(const std::string& folder) {
    fs::create_directory(folder);
    Options options;
    options.id = "vda";
    options.path = folder + "/disk";
    std::ofstream(options.path, std::ios::binary) << "begin";
    fs::resize_file(options.path, kBytes);
    std::fstream file(options.path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(kFar));
    file << "far";
    return options;
  }
  static std::shared_ptr<const DiskImage> open(const Options& options) {
    auto image = DiskImage::open(options);
    EXPECT_TRUE(image) << image.error().text();
    return image ? *image : nullptr;
  }
  /// The copy has what the image had, and neither sees what is written to the other.
  static void expect_own(const DiskImage& image, const Fd& copy) {
    EXPECT_EQ(bytes_at(copy, 0, 5), "begin");
    EXPECT_EQ(bytes_at(copy, kFar, 3), "far");
    EXPECT_EQ(::pwrite(copy.get(), "child", 5, 0), 5);
    EXPECT_EQ(::pwrite(image.fd().get(), "FAR", 3, static_cast<off_t>(kFar)), 3);
    EXPECT_EQ(bytes_at(image.fd(), 0, 5), "begin");
    EXPECT_EQ(bytes_at(copy, kFar, 3), "far");
    struct stat status {};
    ASSERT_EQ(::fstat(copy.get(), &status), 0);
    EXPECT_EQ(status.st_nlink, 0U) << "it has no name";
    EXPECT_EQ(status.st_size, static_cast<off_t>(kBytes));
  }

  test::TempFolder folder_{"blk-copy"};
};

TEST_F(BlkCopy, ACopyOfBytesLeavesHolesOut) {
  Options options = make(folder_.path());
  options.fork = ForkCopy::Bytes;
  const auto image = open(options);
  ASSERT_TRUE(image);
  ASSERT_TRUE(check_copy(*image));
  const auto copy = copy_disk(*image);
  ASSERT_TRUE(copy) << copy.error().text();
  struct stat status {};
  ASSERT_EQ(::fstat(copy->get(), &status), 0);
  EXPECT_LT(status.st_blocks * 512, 1 << 20);
  expect_own(*image, *copy);
}

/// What is written after a copy is gone when that is put back, holes and the file's time included.
void expect_put_back(const DiskImage& image) {
  const auto copy = copy_disk(image);
  ASSERT_TRUE(copy) << copy.error().text();
  const auto then = image.stamp();
  ASSERT_TRUE(then);
  struct stat before {};
  ASSERT_EQ(::fstat(image.fd().get(), &before), 0);
  const std::string other(1 << 20, 'x');
  const int fd = image.fd().get();
  ASSERT_EQ(::pwrite(fd, other.data(), other.size(), 0), static_cast<ssize_t>(other.size()));
  ASSERT_EQ(::pwrite(fd, other.data(), other.size(), 16 << 20), static_cast<ssize_t>(other.size()));
  ASSERT_EQ(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, before.st_size - 8192, 4096), 0);
  ASSERT_EQ(::ftruncate(fd, before.st_size + 12288), 0);
  ASSERT_NE(image.stamp().value(), *then);
  for (int i = 0; i < 2; ++i) {
    const auto done = put_back(image, *copy, *then);
    ASSERT_TRUE(done) << done.error().text();
    EXPECT_EQ(bytes_at(image.fd(), 0, 8), std::string("begin") + std::string(3, '\0'));
    EXPECT_EQ(bytes_at(image.fd(), 16 << 20, 3), std::string(3, '\0'));
    EXPECT_EQ(bytes_at(image.fd(), static_cast<std::uint64_t>(before.st_size) - 8192, 3), "far");
    EXPECT_EQ(image.stamp().value(), *then) << "nobody sees that it was another";
    struct stat after {};
    ASSERT_EQ(::fstat(fd, &after), 0);
    EXPECT_LE(after.st_blocks, before.st_blocks + 64) << "holes are holes again";
    ASSERT_EQ(::pwrite(fd, "BEGIN", 5, 0), 5) << "the copy is good for many";
  }
}

TEST_F(BlkCopy, WhatWasWrittenSinceIsGoneWhenACopyIsPutBack) {
  Options options = make(folder_.path());
  options.fork = ForkCopy::Bytes;
  const auto image = open(options);
  ASSERT_TRUE(image);
  expect_put_back(*image);
}

TEST_F(BlkCopy, WithoutReflinksItIsRefusedWithTheWayOut) {
  const auto image = open(make(folder_.path()));
  ASSERT_TRUE(image);
  const auto checked = check_copy(*image);
  if (checked) GTEST_SKIP() << "the file system of " << folder_.path() << " has reflinks";
  EXPECT_EQ(checked.error().kind(), uvm::ErrorKind::Unsupported);
  EXPECT_THAT(checked.error().text(),
              HasSubstr("disk vda: " + folder_.path() + "/disk is written by the guest"));
  EXPECT_THAT(checked.error().text(), HasSubstr("(,ro), or say ,fork=copy"));
  EXPECT_FALSE(copy_disk(*image));
}

/// A small file system with reflinks, while the object lives.
class ReflinkFolder {
 public:
  explicit ReflinkFolder(const test::TempFolder& folder) : place_(folder.file("mount")) {
    fs::create_directory(place_);
    const std::string image = folder.file("file-system");
    std::ofstream(image).close();
    fs::resize_file(image, std::uint64_t{512} << 20U);
    for (const char* const make : {"/sbin/mkfs.btrfs", "/sbin/mkfs.xfs"}) {
      if (!fs::exists(make)) continue;
      const auto made = test::run_process({make, "-q", image});
      const auto mounted = test::run_process({"/bin/mount", "-o", "loop", image, place_});
      is_mounted_ = made.status == 0 && mounted.status == 0;
      reason_ = made.err + mounted.err;
      return;
    }
    reason_ = "neither mkfs.btrfs nor mkfs.xfs is installed (package btrfs-progs)";
  }
  ~ReflinkFolder() {
    if (!is_mounted_) return;
    EXPECT_EQ(test::run_process({"/bin/umount", place_}).status, 0);
  }
  ReflinkFolder(const ReflinkFolder&) = delete;
  ReflinkFolder& operator=(const ReflinkFolder&) = delete;

  [[nodiscard]] bool is_there() const { return is_mounted_; }
  [[nodiscard]] const std::string& reason() const { return reason_; }
  [[nodiscard]] const std::string& path() const { return place_; }

 private:
  std::string place_;
  std::string reason_;
  bool is_mounted_ = false;
};

TEST_F(BlkCopy, AReflinkIsOnesOwnToo) {
  const ReflinkFolder reflinks(folder_);
  if (!reflinks.is_there()) GTEST_SKIP() << "no file system with reflinks: " << reflinks.reason();
  const auto image = open(make(reflinks.path()));
  ASSERT_TRUE(image);
  ASSERT_TRUE(check_copy(*image)) << check_copy(*image).error().text();
  auto copy = copy_disk(*image);
  ASSERT_TRUE(copy) << copy.error().text();
  expect_own(*image, *copy);
  const auto other = open(make(fs::path(reflinks.path()) / "other"));
  ASSERT_TRUE(other);
  expect_put_back(*other);
  // One whose name is gone can be copied on, as a fork of a fork does.
  const auto adopted = DiskImage::adopt(image->options(), *std::move(copy));
  ASSERT_TRUE(adopted);
  EXPECT_FALSE((*adopted)->has_name());
  const auto second = copy_disk(**adopted);
  ASSERT_TRUE(second) << second.error().text();
  EXPECT_EQ(bytes_at(*second, 0, 5), "child");
}

TEST_F(BlkCopy, WhatIsOnlyReadKeepsItsNameAndItsLock) {
  Options options = make(folder_.path());
  options.access = DiskAccess::ReadOnly;
  auto image = open(options);
  ASSERT_TRUE(image);
  Fd same(::fcntl(image->fd().get(), F_DUPFD_CLOEXEC, 0));
  const auto adopted = DiskImage::adopt(options, std::move(same));
  ASSERT_TRUE(adopted);
  EXPECT_TRUE((*adopted)->has_name());
  image.reset();
  Options writer = options;
  writer.access = DiskAccess::ReadWrite;
  EXPECT_FALSE(DiskImage::open(writer)) << "the copy still reads it";
}

}  // namespace copy_test
}  // namespace vmm::virtio::blk
