// Large memory of a snapshot: its begin is checked when it is read, the rest behind the machine.
#include "vmm/machine/memory_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>

#include "ept/host/frozen_object.h"
#include "tests/support/temp_folder.h"
#include "vmm/snapshot/section_file.h"
#include "vmm/snapshot/snapshot_files.h"

namespace vmm {
namespace memory_check_test {

using snapshot::MemorySums;
using snapshot::Verify;
using ::testing::HasSubstr;

constexpr std::uint64_t kBytes = std::uint64_t{9} << 20;

class LargeSnapshot : public testing::Test {
 protected:
  void SetUp() override {
    std::mt19937_64 random(1);
    std::vector<std::byte> bytes(kBytes);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    auto object = ept::host::FrozenObject::from_bytes("image", bytes);
    ASSERT_TRUE(object);
    snapshot::MemoryImage image;
    image.regions = {
        {*uvm::GpaRange::from_size(uvm::Gpa(0), kBytes), snapshot::MemoryObject(*std::move(object)), 0}};
    ASSERT_TRUE(snapshot::write_snapshot(directory_, snapshot::SectionWriter().finish(), image));
  }
  void damage(std::uint64_t at) const { ::test::flip(directory_ + "/memory-1", at); }
  [[nodiscard]] std::vector<MemorySums> unchecked() const {
    auto saved = snapshot::read_snapshot(directory_, Verify::Begin);
    EXPECT_TRUE(saved) << saved.error().text();
    return saved ? std::move(saved->memory.unchecked) : std::vector<MemorySums>();
  }

  const ::test::TempFolder folder_{"memory-check"};
  const std::string directory_ = folder_.file("snapshot");
  std::atomic<int> ends_{0};
};

TEST_F(LargeSnapshot, IsReadWithoutMostOfItsMemory) {
  auto all = snapshot::read_snapshot(directory_);
  ASSERT_TRUE(all);
  EXPECT_TRUE(all->memory.unchecked.empty());
  auto left = unchecked();
  ASSERT_EQ(left.size(), 1U);
  int steps = 0;
  for (; !left[0].done(); ++steps) ASSERT_TRUE(left[0].check(MemorySums::kChunk));
  EXPECT_EQ(steps, 5) << "MiB; four were checked at first";
  EXPECT_TRUE(left[0].check(MemorySums::kAll)) << "nothing is left";
}

TEST_F(LargeSnapshot, DamageAtItsBeginIsSeenAtOnce) {
  damage(3 << 20);
  const auto saved = snapshot::read_snapshot(directory_, Verify::Begin);
  ASSERT_FALSE(saved);
  EXPECT_THAT(saved.error().text(), HasSubstr("memory-1 is damaged at byte 3145728"));
}

TEST_F(LargeSnapshot, DamageFurtherOnIsSeenBehindTheMachine) {
  damage(kBytes - 1);
  auto check = MemoryCheck::start(unchecked(), [this](const uvm::Error& error) {
    EXPECT_THAT(error.text(), HasSubstr("memory-1 is damaged at byte 8388608"));
    ++ends_;
  });
  ASSERT_TRUE(check);
  for (int round = 0; round < 2; ++round) {
    const auto outcome = (*check)->wait();
    ASSERT_FALSE(outcome);
    EXPECT_THAT(outcome.error().text(), HasSubstr("memory-1 is damaged"));
  }
  check->reset();
  EXPECT_EQ(ends_, 1);
}

TEST_F(LargeSnapshot, WhatIsWholeEndsNothing) {
  auto check = MemoryCheck::start(unchecked(), [this](const uvm::Error&) { ++ends_; });
  ASSERT_TRUE(check);
  EXPECT_TRUE((*check)->wait());
  check->reset();
  // And one that nobody waits for.
  ASSERT_TRUE(MemoryCheck::start(unchecked(), [this](const uvm::Error&) { ++ends_; }));
  EXPECT_EQ(ends_, 0);
}

}  // namespace memory_check_test
}  // namespace vmm
