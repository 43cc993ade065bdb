#include "uvm/extra_holders.h"

#include <gtest/gtest.h>

#include <atomic>
#include <new>
#include <thread>
#include <vector>

#include "tests/support/alloc_fault.h"

namespace uvm {
namespace extra_holders_test {

constexpr std::uint64_t kFar = (std::uint64_t{1} << 36) - 1;

TEST(ExtraHolders, TheOnlyHolderIsNotCounted) {
  ExtraHolders holders;
  EXPECT_FALSE(holders.any(5));
  EXPECT_FALSE(holders.remove(5)) << "the last one frees the frame";
  EXPECT_EQ(holders.bytes(), 0U);
}

TEST(ExtraHolders, EachFrameIsCountedByItself) {
  ExtraHolders holders;
  const std::vector<std::uint64_t> frames{0,   1, 511, 512, std::uint64_t{1} << 18, std::uint64_t{1} << 27,
                                          kFar};
  for (std::size_t i = 0; i < frames.size(); ++i) {
    for (std::size_t n = 0; n <= i; ++n) holders.add(frames[i]);
  }
  EXPECT_FALSE(holders.any(2));
  EXPECT_FALSE(holders.any(513));
  for (std::size_t i = 0; i < frames.size(); ++i) {
    for (std::size_t n = 0; n <= i; ++n) {
      EXPECT_TRUE(holders.any(frames[i]));
      EXPECT_TRUE(holders.remove(frames[i]));
    }
    EXPECT_FALSE(holders.any(frames[i]));
    EXPECT_FALSE(holders.remove(frames[i])) << frames[i];
  }
}

TEST(ExtraHolders, FramesInARowTakeFourBytesEach) {
  ExtraHolders holders;
  holders.add(0);
  const std::uint64_t first = holders.bytes();
  for (std::uint64_t frame = 1; frame < 512; ++frame) holders.add(frame);
  EXPECT_EQ(holders.bytes(), first);
  for (std::uint64_t frame = 512; frame < 1024; ++frame) holders.add(frame);
  EXPECT_EQ(holders.bytes(), first + std::uint64_t{4} * 512);
}

TEST(ExtraHolders, WhatCannotBeCountedIsNoHold) {
  ExtraHolders holders;
  EXPECT_THROW(holders.add(kFar + 1), std::bad_alloc);
  EXPECT_FALSE(holders.any(kFar + 1));
  EXPECT_FALSE(holders.remove(~std::uint64_t{0}));
  for (std::uint64_t n = 1; n <= 4; ++n) {
    const test::AllocFault fault(n);
    ExtraHolders empty;
    EXPECT_THROW(empty.add(7), std::bad_alloc) << n;
    EXPECT_FALSE(empty.any(7));
  }
}

/// Two threads that make the same leaf count in one, and of all who let go one is the last.
TEST(ExtraHolders, OfManyThreadsOneIsTheLast) {
  constexpr int kThreads = 4;
  constexpr std::uint64_t kFrames = 2000;
  ExtraHolders holders;
  std::atomic<std::uint64_t> last{0};
  for (std::uint64_t frame = 0; frame < kFrames; frame += 100) {
    for (int i = 1; i < kThreads; ++i) holders.add(frame * 512);
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (std::uint64_t frame = 0; frame < kFrames; ++frame) {
        if (frame % 100 != 0) {
          holders.add(frame * 512);
          EXPECT_TRUE(holders.remove(frame * 512)) << "this thread's own hold is counted";
        } else if (!holders.remove(frame * 512)) {
          ++last;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(last, kFrames / 100);
}

}  // namespace extra_holders_test
}  // namespace uvm
