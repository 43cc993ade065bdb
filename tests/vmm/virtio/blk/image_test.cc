// The host's file behind a disk: what is taken, what is refused, and who may have it beside whom.
#include "vmm/virtio/blk/disk_image.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_folder.h"

namespace vmm::virtio::blk {
namespace image_test {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class BlkImage : public testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& contents, std::uint64_t bytes = 1 << 20) {
    const std::string path = folder_.file(name);
    std::ofstream(path, std::ios::binary) << contents;
    fs::resize_file(path, bytes);
    return path;
  }
  static Options options(const std::string& path, DiskAccess access = DiskAccess::ReadWrite) {
    Options options;
    options.id = "vda";
    options.path = path;
    options.access = access;
    return options;
  }
  static std::string refusal(const Options& options) {
    const auto image = DiskImage::open(options);
    EXPECT_FALSE(image) << options.path;
    return image ? "" : image.error().text();
  }

  test::TempFolder folder_{"blk-image"};
};

TEST_F(BlkImage, AFileIsADiskOfItsWholeSectors) {
  const std::string path = file("a", "", (1 << 20) + 100);
  const auto written = fs::last_write_time(path);
  ::usleep(20'000);  // more than a tick of the clock that files have
  const auto image = DiskImage::open(options(path));
  ASSERT_TRUE(image) << image.error().text();
  EXPECT_EQ((*image)->geometry().bytes, 1U << 20);
  EXPECT_EQ((*image)->geometry().logical_block, 512U);
  EXPECT_FALSE((*image)->is_block_device());
  struct stat status {};
  ASSERT_EQ(::stat(folder_.file("a").c_str(), &status), 0);
  EXPECT_EQ(status.st_size, (1 << 20) + 100) << "looking has changed nothing";
  EXPECT_EQ(fs::last_write_time(path), written) << "by which a snapshot knows it";
  EXPECT_EQ((*image)->stamp()->bytes, (1U << 20) + 100);
}

TEST_F(BlkImage, WhatIsNoRawImageIsRefusedWithTheWayOut) {
  EXPECT_THAT(refusal(options(folder_.file("none"))), HasSubstr("disk vda"));
  EXPECT_THAT(refusal(options(folder_.path())), HasSubstr("irectory"));
  EXPECT_THAT(refusal(options("/dev/zero", DiskAccess::ReadOnly)), HasSubstr("is no disk image"));
  EXPECT_THAT(refusal(options(file("empty", "", 0))), HasSubstr("truncate -s"));
  EXPECT_THAT(refusal(options(file("small", "", 511))), HasSubstr("has no room"));
  EXPECT_THAT(refusal(options(file("q", "QFI\xfb"))),
              HasSubstr("is a qcow2 image, and not a raw one; convert"));
  ASSERT_EQ(::mkfifo(folder_.file("pipe").c_str(), 0600), 0);
  EXPECT_THAT(refusal(options(folder_.file("pipe"))), HasSubstr("is no disk image"));
}

TEST_F(BlkImage, OneWritesOrAllRead) {
  const std::string path = file("a", "");
  auto writer = DiskImage::open(options(path));
  ASSERT_TRUE(writer);
  EXPECT_THAT(refusal(options(path)), HasSubstr(path + " is in use by another machine; give each"));
  EXPECT_THAT(refusal(options(path, DiskAccess::ReadOnly)), HasSubstr("is written by another machine"));
  writer->reset();
  const auto reader = DiskImage::open(options(path, DiskAccess::ReadOnly));
  ASSERT_TRUE(reader);
  EXPECT_TRUE(DiskImage::open(options(path, DiskAccess::ReadOnly)));
  EXPECT_THAT(refusal(options(path)), HasSubstr("is in use by another machine"));
}

TEST_F(BlkImage, AWriterKeepsItsLockWhenOthersLook) {
  const std::string path = file("a", "");
  const auto writer = DiskImage::open(options(path));
  ASSERT_TRUE(writer);
  std::ifstream(path).get();  // a POSIX lock would be gone with this close
  EXPECT_THAT(refusal(options(path)), HasSubstr("is in use"));
}

TEST_F(BlkImage, OnlyAWritableDiskOffersToGiveRoomBack) {
  const std::string path = file("a", "");
  EXPECT_FALSE((*DiskImage::open(options(path, DiskAccess::ReadOnly)))->geometry().discards);
  const Fd probe(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  const bool can = ::fallocate(probe.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0;
  EXPECT_EQ((*DiskImage::open(options(path)))->geometry().discards, can);
}

}  // namespace image_test
}  // namespace vmm::virtio::blk
