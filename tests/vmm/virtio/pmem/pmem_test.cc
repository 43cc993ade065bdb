// Images that guests see as memory: where they lie, what reads and writes of them do, that guests share them,
// and the device that tells of them.
#include "vmm/virtio/pmem/pmem.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <fstream>

#include "tests/support/temp_folder.h"
#include "tests/support/virtio_driver.h"
#include "tests/support/virtio_space.h"
#include "vmm/machine/guest_memory.h"

namespace vmm::virtio::pmem {
namespace pmem_test {

using test::VirtioDriver;
using Part = VirtioDriver::Part;
constexpr auto kWriting = Part::For::Writing;
constexpr std::uint64_t kPage = uvm::kPageSize;
constexpr std::uint64_t kRamBytes = 16 * kPage;
constexpr std::uint64_t kLimit = std::uint64_t{1} << 40;
constexpr uvm::Gpa kFirst{std::uint64_t{4} << 30};

class PmemImageTest : public testing::Test {
 protected:
  std::string file(const std::string& name, std::uint64_t bytes) {
    std::string path = folder_.path() + "/" + name;
    std::ofstream(path, std::ios::binary) << std::string(bytes, 'p');
    return path;
  }
  std::unique_ptr<GuestMemory> guest(std::vector<Image> images) {
    GuestMemory::Request request;
    request.name = "test";
    request.ram = {*uvm::GpaRange::from_size(uvm::Gpa(0), kRamBytes)};
    request.backing = MemoryBacking::Anonymous;
    request.files = std::move(images);
    auto made = GuestMemory::create(request);
    EXPECT_TRUE(made) << made.error().text();
    return *std::move(made);
  }
  static std::byte byte_at(GuestMemory& memory, uvm::Gpa at) {
    std::byte value{};
    const auto read = memory.read(at, std::span(&value, 1));
    EXPECT_TRUE(read) << read.error().text();
    return value;
  }

  test::TempFolder folder_{"pmem"};
};

TEST_F(PmemImageTest, TheyLieInSectionsOfTheirOwnInWholeLargePages) {
  const auto images = open_images({{"a", file("a", 100)}, {"b", file("b", kImageBytes + 1)}}, kFirst, kLimit);
  ASSERT_TRUE(images) << images.error().text();
  ASSERT_EQ(images->size(), 2U);
  EXPECT_EQ((*images)[0].range, *uvm::GpaRange::from_size(kFirst, kImageBytes));
  EXPECT_EQ((*images)[1].range,
            *uvm::GpaRange::from_size(kFirst + (std::uint64_t{128} << 20), 2 * kImageBytes));
  EXPECT_EQ((*images)[1].name, "pmem1");
}

TEST_F(PmemImageTest, FilesThatCannotBeHadAreNamed) {
  const auto missing = open_images({{"a", folder_.path() + "/none"}}, kFirst, kLimit);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().text().find("/none"), std::string::npos);
  EXPECT_FALSE(open_images({{"a", folder_.path()}}, kFirst, kLimit)) << "a directory";
  EXPECT_FALSE(open_images({{"a", file("empty", 0)}}, kFirst, kLimit));
  const auto high = open_images({{"a", file("a", kPage)}}, kFirst, kFirst.value() + kPage);
  ASSERT_FALSE(high);
  EXPECT_EQ(high.error().kind(), uvm::ErrorKind::Invalid);
  EXPECT_FALSE(open_images({{"a", file("a", kPage)}}, uvm::Gpa(kLimit + 1), kLimit));
}

TEST_F(PmemImageTest, TheGuestReadsTheFileAndZerosBehindItAndWritesNothing) {
  const std::string path = file("image", 2 * kPage + 10);
  auto images = open_images({{"a", path}}, kFirst, kLimit);
  ASSERT_TRUE(images);
  const auto memory = guest(*images);
  EXPECT_EQ(byte_at(*memory, kFirst + kPage), std::byte{'p'});
  EXPECT_EQ(byte_at(*memory, kFirst + 2 * kPage + 9), std::byte{'p'});
  EXPECT_EQ(byte_at(*memory, kFirst + 2 * kPage + 10), std::byte{0});
  EXPECT_EQ(byte_at(*memory, kFirst + kImageBytes - 1), std::byte{0});
  EXPECT_TRUE(memory->holds(kFirst, kPage)) << "devices may read it";
  EXPECT_FALSE(memory->holds(kFirst + kImageBytes, 1));
  EXPECT_FALSE(memory->files_written());
  const std::byte other{'x'};
  EXPECT_TRUE(memory->write(kFirst, std::span(&other, 1))) << "as to a ROM";
  EXPECT_TRUE(memory->files_written());
  EXPECT_EQ(byte_at(*memory, kFirst), std::byte{'p'});
  const auto device = uvm::Access::write(memory->space(), kFirst, std::span(&other, 1));
  ASSERT_FALSE(device);
  EXPECT_EQ(device.error().kind(), uvm::ErrorKind::Protection);
  const auto discarded = memory->space().discard((*images)[0].range);
  ASSERT_TRUE(discarded);
  EXPECT_EQ(discarded->given_back, 0U);
}

TEST_F(PmemImageTest, GuestsShareThePagesOfTheFile) {
  const std::string path = file("image", 2 * kImageBytes);
  auto first_images = open_images({{"a", path}}, kFirst, kLimit);
  auto second_images = open_images({{"a", path}}, kFirst, kLimit);
  ASSERT_TRUE(first_images);
  ASSERT_TRUE(second_images);
  const auto first = guest(*first_images);
  const auto second = guest(*second_images);
  const uvm::GpaRange range = (*first_images)[0].range;
  for (const auto& memory : {first.get(), second.get()}) {
    for (std::uint64_t at = 0; at < range.size(); at += kPage) {
      ASSERT_EQ(byte_at(*memory, range.begin() + at), std::byte{'p'});
    }
    const uvm::Residency residency = memory->space().residency(range);
    EXPECT_EQ(residency.shared, range.size()) << "the page cache's";
    EXPECT_EQ(residency.priv, 0U);
  }
}

TEST_F(PmemImageTest, AFileThatIsCutIsAnErrorForWhoReadsIt) {
  const std::string path = file("image", 8 * kPage);
  auto images = open_images({{"a", path}}, kFirst, kLimit);
  ASSERT_TRUE(images);
  const auto memory = guest(*images);
  EXPECT_EQ(byte_at(*memory, kFirst + 6 * kPage), std::byte{'p'});
  ASSERT_EQ(::truncate(path.c_str(), 4 * kPage), 0);
  std::byte value{};
  const auto lost = memory->read(kFirst + 6 * kPage, std::span(&value, 1));
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind(), uvm::ErrorKind::PagerIo) << lost.error().text();
  EXPECT_NE(lost.error().text().find(path), std::string::npos) << lost.error().text();
  EXPECT_EQ(byte_at(*memory, kFirst + 3 * kPage), std::byte{'p'});
}

TEST_F(PmemImageTest, SnapshotsOfTheMachineAreOfItsRamOnly) {
  auto images = open_images({{"a", file("image", kImageBytes)}}, kFirst, kLimit);
  ASSERT_TRUE(images);
  const auto memory = guest(*images);
  auto store = memory->prepare_image();
  ASSERT_TRUE(store);
  const auto taken = memory->take_image(*store);
  ASSERT_TRUE(taken) << taken.error().text();
  for (const auto& region : taken->regions) EXPECT_LE(region.range.end(), uvm::Gpa(kRamBytes));
}

class PmemDeviceTest : public test::VirtioSpace {
 protected:
  PmemDeviceTest() : test::VirtioSpace(kRamPages) {}

  static constexpr uvm::GpaRange kRange = *uvm::GpaRange::from_size(kFirst, kImageBytes);

  std::unique_ptr<LocalDevice> device() {
    auto made =
        attached("pmem0", std::make_unique<Pmem>(*space_, kRange, [this] { return written_.load(); }));
    made->start({kFeatureVersion1, {driver_.queue()}});
    return made;
  }
  std::uint32_t ask(std::uint32_t request, std::initializer_list<Part> parts) {
    driver_.put(kRequest, request);
    driver_.put<std::uint32_t>(kAnswer, 77);
    driver_.offer(parts);
    driver_.notify();
    EXPECT_TRUE(driver_.wait_used());
    return driver_.get<std::uint32_t>(kAnswer);
  }

  static constexpr std::uint64_t kRequest = 8 * kPage;
  static constexpr std::uint64_t kAnswer = 9 * kPage;
  std::atomic<bool> written_ = false;
  VirtioDriver driver_{*space_, kPage, 8};
};

TEST_F(PmemDeviceTest, ItTellsPlaceAndSize) {
  const auto pmem = device();
  std::array<std::byte, 20> config{};
  pmem->read_config(0, config);
  std::uint64_t start = 0;
  std::uint64_t size = 0;
  std::memcpy(&start, config.data(), 8);
  std::memcpy(&size, config.data() + 8, 8);
  EXPECT_EQ(start, kFirst.value());
  EXPECT_EQ(size, kImageBytes);
  EXPECT_EQ(config[19], std::byte{0});
}

TEST_F(PmemDeviceTest, AFlushIsDoneUnlessSomebodyWrote) {
  const auto pmem = device();
  EXPECT_EQ(ask(0, {{kRequest, 4}, {kAnswer, 4, kWriting}}), 0U);
  EXPECT_EQ(ask(0, {{kRequest, 1}, {kRequest + 1, 3}, {kAnswer, 2, kWriting}, {kAnswer + 2, 2, kWriting}}),
            0U);
  written_ = true;
  EXPECT_EQ(ask(0, {{kRequest, 4}, {kAnswer, 4, kWriting}}), 1U);
}

TEST_F(PmemDeviceTest, WhatItDoesNotKnowFails) {
  const auto pmem = device();
  EXPECT_EQ(ask(1, {{kRequest, 4}, {kAnswer, 4, kWriting}}), 1U) << "another request";
  EXPECT_EQ(ask(0, {{kRequest, 3}, {kAnswer, 4, kWriting}}), 1U) << "cut off";
  EXPECT_EQ(ask(0, {{kAnswer, 4, kWriting}}), 1U) << "none at all";
  EXPECT_EQ(ask(0, {{kRequest, 4}}), 77U) << "no room for an answer";
  EXPECT_EQ(host_.failures, 0);
}

}  // namespace pmem_test
}  // namespace vmm::virtio::pmem
