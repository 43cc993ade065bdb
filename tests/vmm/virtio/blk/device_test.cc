// A disk as its driver sees it: what is written is there, and what fails is said; by io_uring and without.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "tests/support/disk_driver.h"
#include "tests/support/eventually.h"
#include "tests/support/temp_folder.h"
#include "tests/support/virtio_space.h"
#include "vmm/devices/registers.h"
#include "vmm/snapshot/section_fields.h"
#include "vmm/virtio/blk/blk.h"

namespace vmm::virtio::blk {
namespace blk_device_test {

namespace fs = std::filesystem;
using test::DiskDriver;
using Part = DiskDriver::Part;
using Type = DiskDriver::Type;
constexpr auto kWriting = Part::For::Writing;
constexpr int kOk = 0;
constexpr int kIoError = 1;
constexpr int kUnsupported = 2;

class BlkDevice : public test::VirtioSpace, public testing::WithParamInterface<EngineChoice> {
 protected:
  static constexpr std::uint64_t kSectors = 2048;
  static constexpr std::uint64_t kData = 5 * kPage;
  static constexpr std::uint64_t kAll = kFeatureVersion1 | kFeatureFlush;

  void SetUp() override {
    options_.id = "vda";
    options_.path = folder_.file("disk");
    std::ofstream(options_.path).close();
    fs::resize_file(options_.path, kSectors * kSectorBytes);
  }

  void start(std::uint64_t features = kAll) {
    auto image = DiskImage::open(options_);
    ASSERT_TRUE(image) << image.error().text();
    begin(*image);
    device_->start({features, {driver_.ring().queue()}});
  }
  void begin(std::shared_ptr<const DiskImage> image) {
    const auto owner = uvm::PinOwner::create("blk0");
    auto service = std::make_unique<Blk>(Blk::Parts{*space_, owner, std::move(image), 2, GetParam()});
    counters_ = service->counters();
    blk_ = service.get();
    device_ = attached("blk0", owner, std::move(service));
  }
  std::string file_bytes(std::uint64_t offset, std::size_t count) {
    std::string bytes(count, '?');
    std::ifstream file(options_.path, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    file.read(bytes.data(), static_cast<std::streamsize>(count));
    return bytes;
  }
  void put_file(std::uint64_t offset, const std::string& bytes) {
    std::fstream file(options_.path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset));
    file << bytes;
  }
  std::uint64_t register_at(std::uint64_t offset, std::size_t bytes) {
    std::vector<std::byte> data(bytes);
    device_->read_config(offset, data);
    return devices::load_le(data);
  }

  test::TempFolder folder_{"blk"};
  Options options_;
  DiskDriver driver_{*space_, kPage, 4 * kPage};
  std::shared_ptr<const Counters> counters_;
  Blk* blk_ = nullptr;                   // device_'s
  std::unique_ptr<LocalDevice> device_;  // last: ends first
};

std::string name_of(const testing::TestParamInfo<EngineChoice>& choice) {
  return choice.param == EngineChoice::Best ? "Ring" : "Plain";
}
INSTANTIATE_TEST_SUITE_P(Engines, BlkDevice, testing::Values(EngineChoice::Best, EngineChoice::Plain),
                         name_of);

TEST_P(BlkDevice, WhatIsWrittenIsInTheFileAndReadBack) {
  start();
  const std::string small(512, 's');
  driver_.ring().put_bytes(kData, small);
  EXPECT_EQ(driver_.write(3, kData, 512), kOk);
  EXPECT_EQ(file_bytes(3 * 512, 512), small);
  EXPECT_EQ(driver_.read(3, kData + kPage, 512), kOk);
  EXPECT_EQ(driver_.ring().get_bytes(kData + kPage, 512), small);
  // Larger ones go between file and guest without a copy.
  const std::string large = std::string(20000, 'a') + std::string(4576, 'b');
  driver_.ring().put_bytes(kData + 12, large);
  EXPECT_EQ(driver_.write(100, kData + 12, 24576), kOk);
  EXPECT_EQ(file_bytes(100 * 512, 24576), large);
  EXPECT_EQ(driver_.read(100, 17 * kPage + 4, 24576), kOk) << "into private memory";
  EXPECT_EQ(driver_.ring().get_bytes(17 * kPage + 4, 24576), large);
  EXPECT_EQ(counters_->reads, 2U);
  EXPECT_EQ(counters_->written_bytes, 512U + 24576);
  EXPECT_EQ(counters_->errors, 0U);
}

TEST_P(BlkDevice, NothingIsPinnedAtRestButTheRings) {
  start();
  ASSERT_EQ(driver_.read(0, kData, 10 * kPage), kOk);
  EXPECT_TRUE(test::eventually([&] { return pinned() == 3 * kPage; }));
  device_->rest();
  EXPECT_EQ(pinned(), 0U);
  device_->go_on();
}

TEST_P(BlkDevice, WhatWasAskedBeforeRestIsDoneThen) {
  start();
  ASSERT_EQ(driver_.read(0, kData, 512), kOk);
  driver_.ring().put_bytes(kData, std::string(512, 'w'));
  driver_.offer(Type::Out, 7, {{kData, 512}});  // without a notification
  device_->rest();
  EXPECT_EQ(file_bytes(7 * 512, 3), "www");
  EXPECT_TRUE(driver_.ring().used());
  device_->go_on();
}

TEST_P(BlkDevice, AnotherImageTakesItsPlaceWhileTheGuestRuns) {
  start();
  ASSERT_EQ(driver_.read(0, kData, 512), kOk);
  Options other = options_;
  other.path = folder_.file("other");
  std::ofstream(other.path) << std::string(512 * 4, 'n');
  fs::resize_file(other.path, 2 * kSectors * kSectorBytes);
  driver_.ring().put_bytes(kData, std::string(512, 'w'));
  driver_.offer(Type::Out, 7, {{kData, 512}});  // without a notification: asked for before
  auto image = DiskImage::open(other);
  ASSERT_TRUE(image) << image.error().text();
  ASSERT_TRUE(device_->work_at_rest([&] { blk_->change_image(*image); }));
  EXPECT_EQ(host_.changes, 1) << "the driver is to look";
  EXPECT_EQ(register_at(0, 8), 2 * kSectors);
  EXPECT_EQ(blk_->image()->options().path, other.path);
  EXPECT_EQ(file_bytes(7 * 512, 3), "www") << "on the disk that it was meant for";
  ASSERT_TRUE(driver_.ring().wait_used());
  EXPECT_TRUE(DiskImage::open(options_)) << "nobody has the old one";

  EXPECT_EQ(driver_.read(3, kData + kPage, 512), kOk);
  EXPECT_EQ(driver_.ring().get_bytes(kData + kPage, 3), "nnn");
  EXPECT_EQ(driver_.write(2 * kSectors - 1, kData, 512), kOk);
  EXPECT_EQ(file_bytes(0, 3), std::string(3, '\0'));
  options_ = other;
  EXPECT_EQ(file_bytes((2 * kSectors - 1) * 512, 3), "www");

  // The same again, which is smaller by now.
  fs::resize_file(other.path, kSectors * kSectorBytes);
  EXPECT_TRUE(blk_->image()->is_at(other.path));
  ASSERT_FALSE(DiskImage::open(other)) << "it is locked";
  auto again = blk_->image()->again();
  ASSERT_TRUE(again) << again.error().text();
  ASSERT_TRUE(device_->work_at_rest([&] { blk_->change_image(*again); }));
  EXPECT_EQ(register_at(0, 8), kSectors);
  EXPECT_EQ(driver_.read(kSectors, kData, 512), kIoError);
  EXPECT_EQ(driver_.read(kSectors - 1, kData, 512), kOk);
}

TEST_P(BlkDevice, ManyAtOnceComeBackEachWithItsOwn) {
  start();
  std::string contents;
  for (int i = 0; i < 16; ++i) contents += std::string(512, static_cast<char>('a' + i));
  put_file(0, contents);
  for (unsigned i = 0; i < 16; ++i) driver_.offer(Type::In, i, {{kData + 512 * i, 512, kWriting}}, i);
  driver_.ring().notify();
  for (int i = 0; i < 16; ++i) EXPECT_EQ(driver_.ring().wait_used().value().written, 513U);
  EXPECT_EQ(driver_.ring().get_bytes(kData, contents.size()), contents);
  for (unsigned i = 0; i < 16; ++i) EXPECT_EQ(driver_.status(i), kOk);
}

TEST_P(BlkDevice, PartsOfAnySizeMakeOneRequest) {
  start();
  put_file(0, std::string(700, 'x') + std::string(324, 'y'));
  EXPECT_EQ(driver_.ask(Type::In, 0, {{kData, 699, kWriting}, {kData + kPage, 325, kWriting}}), kOk);
  EXPECT_EQ(driver_.ring().get_bytes(kData + kPage, 3), "xyy");
  // The status is the last byte of the last part, wherever that is.
  driver_.ring().put<std::uint32_t>(kData, 0);
  driver_.ring().put<std::uint64_t>(kData + 8, 1);
  driver_.ring().offer({{kData, 7}, {kData + 7, 9}, {kData + kPage, 513, kWriting}});
  driver_.ring().notify();
  EXPECT_EQ(driver_.ring().wait_used().value().written, 513U);
  EXPECT_EQ(driver_.ring().get_bytes(kData + kPage + 512, 1)[0], kOk);
}

TEST_P(BlkDevice, WhatIsWrongIsAnsweredAsTheSpecificationSays) {
  start();
  EXPECT_EQ(driver_.read(kSectors, kData, 512), kIoError) << "past the end";
  EXPECT_EQ(driver_.read(kSectors - 1, kData, 1024), kIoError);
  EXPECT_EQ(driver_.write(0, kData, 100), kIoError) << "no whole sector";
  EXPECT_EQ(driver_.ask(static_cast<Type>(99), 0), kUnsupported);
  EXPECT_EQ(driver_.read(0, kData, 0), kOk) << "nothing at all";
  driver_.ring().offer({{kData, 16}});
  driver_.ring().notify();
  EXPECT_EQ(driver_.ring().wait_used().value().written, 0U) << "no room for a status";
  driver_.ring().offer({{kData, 4}, {kData + kPage, 1, kWriting}});
  driver_.ring().notify();
  ASSERT_TRUE(driver_.ring().wait_used());
  EXPECT_EQ(driver_.ring().get_bytes(kData + kPage, 1)[0], kIoError) << "half a header";
  EXPECT_EQ(driver_.read(0, kData, 512), kOk) << "it goes on";
  EXPECT_EQ(counters_->errors, 6U);
  EXPECT_EQ(host_.failures, 0);
}

TEST_P(BlkDevice, AFileThatIsCutFailsThereAndNowhereElse) {
  start();
  put_file(0, "still here");
  fs::resize_file(options_.path, 1000 * kSectorBytes);
  EXPECT_EQ(driver_.read(1000, kData, 512), kIoError);
  EXPECT_EQ(driver_.read(999, kData, 1024), kIoError) << "in part";
  EXPECT_EQ(driver_.read(0, kData, 512), kOk);
  EXPECT_EQ(driver_.ring().get_bytes(kData, 10), "still here");
  fs::resize_file(options_.path, 2 * kSectors * kSectorBytes);
  EXPECT_EQ(driver_.read(kSectors - 1, kData, 512), kOk) << "it has grown again";
  EXPECT_EQ(driver_.read(kSectors, kData, 512), kIoError) << "the guest's disk has not";
  fs::remove(options_.path);
  EXPECT_EQ(driver_.read(0, kData, 512), kOk) << "its name has gone, and nothing else";
}

TEST_P(BlkDevice, AFullDiskIsTheGuestsErrorAndNothingMore) {
  start();
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{1024 * kSectorBytes, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const int failed = driver_.write(1024, kData, 512);
  const int large = driver_.write(1020, kData, 10 * kPage);
  const int good = driver_.write(1023, kData, 512);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(failed, kIoError);
  EXPECT_EQ(large, kIoError);
  EXPECT_EQ(good, kOk);
}

TEST_P(BlkDevice, ADiskThatIsOnlyReadIsNotWritten) {
  options_.access = DiskAccess::ReadOnly;
  start();
  EXPECT_NE(device_->features() & (1U << 5U), 0U);
  EXPECT_EQ(device_->features() & (1U << 13U), 0U) << "no discard";
  driver_.ring().put_bytes(kData, std::string(512, 'w'));
  EXPECT_EQ(driver_.write(0, kData, 512), kIoError);
  EXPECT_EQ(driver_.ask_range(Type::Discard, kData, 0, 8), kIoError);
  EXPECT_EQ(driver_.ask(Type::Flush, 0), kOk);
  EXPECT_EQ(file_bytes(0, 1)[0], '\0');
}

TEST_P(BlkDevice, ItSaysItsSerialNumber) {
  options_.serial = "a-serial-of-20-bytes";
  start();
  EXPECT_EQ(driver_.ask(Type::GetId, 0, {{kData, 20, kWriting}}), kOk);
  EXPECT_EQ(driver_.ring().get_bytes(kData, 20), options_.serial);
  EXPECT_EQ(driver_.ask(Type::GetId, 0, {{kData + kPage, 4, kWriting}}), kOk) << "as much as there is room";
  EXPECT_EQ(driver_.ring().get_bytes(kData + kPage, 5), std::string("a-se\0", 5));
}

TEST_P(BlkDevice, ItsRegistersSayWhatItIsLike) {
  start();
  EXPECT_EQ(device_->type(), DeviceType::Block);
  EXPECT_EQ(device_->queues(), 2U);
  EXPECT_EQ(register_at(0, 8), kSectors);
  EXPECT_EQ(register_at(12, 4), kMostSegments);
  EXPECT_EQ(register_at(20, 4), 512U);
  EXPECT_EQ(register_at(34, 2), 2U);
  EXPECT_EQ(register_at(60, 8), 0U) << "behind the end";
  EXPECT_EQ(register_at(~std::uint64_t{0}, 4), 0U);
}

TEST_P(BlkDevice, DiscardsGiveRoomBackAndZeroesAreRead) {
  put_file(0, std::string(256 * 1024, 'd'));
  start();
  if ((device_->features() & (1U << 13U)) == 0) GTEST_SKIP() << "the file system here can't punch holes";
  struct stat before {};
  ASSERT_EQ(::stat(options_.path.c_str(), &before), 0);
  EXPECT_EQ(driver_.ask_range(Type::Discard, kData, 0, 128), kOk);
  EXPECT_EQ(driver_.ask_range(Type::WriteZeroes, kData, 128, 64, 1), kOk);
  struct stat after {};
  ASSERT_EQ(::stat(options_.path.c_str(), &after), 0);
  EXPECT_LE(after.st_blocks, before.st_blocks - 192);
  EXPECT_EQ(driver_.ask_range(Type::WriteZeroes, kData, 200, 3), kOk) << "keeps its room";
  EXPECT_EQ(file_bytes(0, 192 * 512), std::string(192 * 512, '\0'));
  EXPECT_EQ(file_bytes(200 * 512, 4 * 512), std::string(3 * 512, '\0') + std::string(512, 'd'));
  EXPECT_EQ(driver_.ask_range(Type::Discard, kData, 0, 8, 1), kUnsupported);
  EXPECT_EQ(driver_.ask_range(Type::WriteZeroes, kData, kSectors - 1, 2), kIoError);
  EXPECT_EQ(file_bytes(220 * 512, 4), "dddd");
}

TEST_P(BlkDevice, FlushesAreDoneOrNotOffered) {
  start();
  EXPECT_NE(device_->features() & kFeatureFlush, 0U);
  EXPECT_EQ(driver_.ask(Type::Flush, 0), kOk);
  EXPECT_EQ(counters_->flushes, 1U);
  device_.reset();
  options_.flush = Flush::Ignored;
  auto image = DiskImage::open(options_);
  ASSERT_TRUE(image);
  begin(*image);
  EXPECT_EQ(device_->features() & kFeatureFlush, 0U);
}

TEST_P(BlkDevice, ADriverThatCannotFlushHasItsWritesOnStorage) {
  start(kFeatureVersion1);
  driver_.ring().put_bytes(kData, std::string(512, 'w'));
  EXPECT_EQ(driver_.write(0, kData, 512), kOk);
  EXPECT_EQ(driver_.write(64, kData, 8 * kPage), kOk);
  if ((device_->features() & (1U << 13U)) != 0) {
    EXPECT_EQ(driver_.ask_range(Type::Discard, kData, 8, 8), kOk);
  }
  EXPECT_EQ(file_bytes(0, 3), "www");
}

TEST_P(BlkDevice, AnotherQueueIsServedToo) {
  start();
  device_->stop();
  ASSERT_TRUE(test::eventually([&] { return host_.stops == 1; }));
  DiskDriver second(*space_, 8 * kPage, 11 * kPage, 16, 1);
  device_->start({kAll, {driver_.ring().queue(), second.ring().queue()}});
  put_file(0, "second");
  EXPECT_EQ(second.read(0, 12 * kPage, 512), kOk);
  EXPECT_EQ(second.ring().get_bytes(12 * kPage, 6), "second");
}

TEST_P(BlkDevice, WhereNothingCanBePinnedItCopies) {
  start();
  auto other = uvm::PinOwner::create("other");
  uvm::PinRequest request;
  request.owner = other;
  ASSERT_TRUE(space_->protect(pages(20, 12), uvm::Protection::Read));
  put_file(0, std::string(40960, 'p'));
  EXPECT_EQ(driver_.read(0, 20 * kPage, 10 * kPage), kIoError) << "memory that can't be written";
  ASSERT_TRUE(space_->protect(pages(20, 12), uvm::Protection::ReadWrite));
  EXPECT_EQ(driver_.read(0, 20 * kPage, 10 * kPage), kOk);
  EXPECT_EQ(driver_.ring().get_bytes(29 * kPage, 4), "pppp");
}

TEST_P(BlkDevice, ACopyGoesOnWithTheFileThatChangedAndIsWarned) {
  start();
  ASSERT_EQ(driver_.read(0, kData, 512), kOk);
  device_->rest();
  snapshot::SectionWriter writer;
  test::DeviceSection section(*device_);
  snapshot::save(writer, section);
  const auto state = std::move(writer).finish();
  device_->go_on();
  device_.reset();
  fs::resize_file(options_.path, kSectors * kSectorBytes + 512);

  auto image = DiskImage::open(options_);
  ASSERT_TRUE(image);
  begin(*image);
  device_->rest();
  device_->place(Activation{kAll, {driver_.ring().queue()}});
  test::DeviceSection restored(*device_);
  const auto table = snapshot::SectionTable::read(state);
  ASSERT_TRUE(table);
  testing::internal::CaptureStderr();
  EXPECT_TRUE(snapshot::restore(*table, restored));
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("has changed since"));
  device_->go_on();
  EXPECT_EQ(driver_.read(0, kData, 512), kOk);
}

}  // namespace blk_device_test
}  // namespace vmm::virtio::blk
