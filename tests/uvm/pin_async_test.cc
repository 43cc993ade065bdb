// Pins for callers that may not sleep.
#include "uvm/pin_async.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "tests/uvm/pin_fixture.h"
#include "tests/uvm/reclaim_fixture.h"

namespace test {
namespace pin_async_test {

using uvm::ErrorKind;
using uvm::Pin;

class PinAsync : public PinFixture {
 protected:
  void pin_async(std::vector<uvm::GpaRange> list) {
    uvm::PinRequest request;
    request.owner = vfio;
    uvm::pin_async(
        space, std::move(list), request,
        [this](std::function<void()> work) { later_.push_back(std::move(work)); },
        [this](uvm::Result<Pin> pin) { done_.push_back(std::move(pin)); });
  }
  void run_later() {
    for (const auto& work : std::exchange(later_, {})) work();
  }

  std::vector<std::function<void()>> later_;
  std::vector<uvm::Result<Pin>> done_;
};

TEST_F(PinAsync, WhatIsThereIsPinnedAtOnce) {
  EXPECT_OK(space.map(ram(pages(0, 16))));
  guest.write_pattern(3, 3);
  pin_async({pages(3, 1), pages(8, 2)});
  ASSERT_EQ(done_.size(), 1U);
  EXPECT_TRUE(later_.empty());
  ASSERT_TRUE(is_ok(done_[0]));
  EXPECT_TRUE(std::ranges::equal(dma(*done_[0], 3), pattern(kPage, 3)));
}

TEST_F(PinAsync, RefusalsComeAtOnceToo) {
  pin_async({pages(3, 1)});
  ASSERT_EQ(done_.size(), 1U);
  EXPECT_TRUE(fails_with(done_[0], ErrorKind::NoMapping));
  EXPECT_TRUE(later_.empty());
  expect_nothing_pinned();
}

TEST_F(PinAsync, WhatAPagerHasToReadComesLater) {
  const auto object = kept_object(16);
  EXPECT_OK(space.map(over(pages(0, 16), object)));
  auto shared = over(pages(16, 16), object);
  shared.sharing = uvm::Sharing::Shared;
  EXPECT_OK(space.map(shared));
  pin_async({pages(2, 2)});
  pin_async({pages(18, 2)});
  EXPECT_TRUE(done_.empty());
  expect_nothing_pinned();
  run_later();
  ASSERT_EQ(done_.size(), 2U);
  ASSERT_TRUE(is_ok(done_[0]));
  ASSERT_TRUE(is_ok(done_[1]));
  EXPECT_TRUE(std::ranges::equal(dma(*done_[0], 2), pattern(kPage, 102)));
  EXPECT_TRUE(std::ranges::equal(dma(*done_[1], 18), pattern(kPage, 102)));
  keeper->fail_page(9, ErrorKind::PagerIo);
  pin_async({pages(8, 2)});
  EXPECT_EQ(done_.size(), 2U);
  run_later();
  ASSERT_EQ(done_.size(), 3U);
  EXPECT_TRUE(fails_with(done_[2], ErrorKind::PagerIo));
}

TEST_F(ReclaimFixture, PinsOfWhatIsInSwapComeLater) {
  write_pages(0, kRam, 1);
  swap_out_all();
  uvm::PinRequest request;
  request.owner = uvm::PinOwner::create("disk0");
  std::function<void()> later;
  std::optional<uvm::Result<Pin>> done;
  uvm::pin_async(
      space, {pages(0, 1), pages(31, 1)}, request,
      [&](std::function<void()> work) { later = std::move(work); },
      [&](uvm::Result<Pin> pin) { done = std::move(pin); });
  EXPECT_FALSE(done.has_value());
  EXPECT_EQ(space.pin_statistics().pins, 0U);
  ASSERT_TRUE(later);
  later();
  ASSERT_TRUE(done.has_value());
  ASSERT_TRUE(is_ok(*done));
  EXPECT_TRUE(is_pattern(dma(**done, 0), 1));
  EXPECT_TRUE(is_pattern(dma(**done, 31), 32));
}

}  // namespace pin_async_test
}  // namespace test
