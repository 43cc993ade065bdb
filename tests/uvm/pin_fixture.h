// What tests of pins share: an owner that does DMA, and a debugger.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "tests/uvm/fixture.h"
#include "uvm/pin.h"

namespace test {

/// What a device sees of a page that it has pinned: the bytes of the frame it was given, and no translation.
inline std::span<std::byte> dma(const uvm::Pin& pin, std::uint64_t number) {
  return bytes_of(pin.frame_at(page(number)));
}

/// Whether the guest uses the pinned frames, page by page, asked through its translations. Reads through them
/// first, so that they are there.
inline ::testing::AssertionResult uses_pinned_frames(Guest& guest, const uvm::Pin& pin) {
  for (std::uint64_t at = pin.range().begin().page(); at < pin.range().end().page(); ++at) {
    static_cast<void>(guest.byte_at(page(at)));
    const auto found = guest.mmu.extract(page(at));
    if (!found || found->frame != pin.frame_at(page(at))) {
      return ::testing::AssertionFailure()
             << "page " << at << (found ? " shows another frame" : " has no translation");
    }
    const auto seen = guest.page_at(at);
    const auto held = dma(pin, at);
    if (!std::equal(seen.begin(), seen.end(), held.begin())) {
      return ::testing::AssertionFailure() << "page " << at << " has other bytes than the device sees";
    }
  }
  return ::testing::AssertionSuccess();
}

/// A debugger writes a page of a mapping that does not allow it today.
inline void poke(Guest& guest, std::uint64_t number, std::uint64_t seed) {
  EXPECT_OK(uvm::Access::write(*guest.space, page(number), pattern(kPage, seed), uvm::kDebugger));
}

/// Text: mapped private, to be read and executed, and never more unless a debugger makes it so.
inline uvm::MapRequest text(uvm::GpaRange range, std::shared_ptr<uvm::Object> object) {
  uvm::MapRequest request = over(range, std::move(object));
  request.protection = uvm::Protection::ReadExecute;
  return request;
}

/// A pager that is told about pins: pages it gave away stay as they are while somebody holds them.
class KeepingPager : public FakePager {
 public:
  using FakePager::FakePager;
  bool hold(uvm::Frame frame) override {
    if (refusals_ > 0) {
      --refusals_;
      return false;
    }
    if (gone_once_ == frame) {
      gone_once_.reset();
      return false;
    }
    held_.insert(frame);
    return true;
  }
  void let_go(uvm::Frame frame) override {
    const auto one = held_.find(frame);
    ASSERT_NE(one, held_.end()) << "a page let go that nobody holds";
    held_.erase(one);
  }
  /// Holds, counted.
  [[nodiscard]] std::size_t held() const { return held_.size(); }
  [[nodiscard]] std::size_t held(std::uint64_t number) { return held_.count(store().frame(number)); }
  /// The next `count` pages are gone when somebody wants to hold them.
  void refuse_holds(int count) { refusals_ = count; }
  /// This page is gone when somebody wants to hold it, once.
  void refuse_hold_of(std::uint64_t number) { gone_once_ = store().frame(number); }

 private:
  std::multiset<uvm::Frame> held_;  // one thread pins at a time in these tests
  int refusals_ = 0;
  std::optional<uvm::Frame> gone_once_;
};

class PinFixture : public SpaceFixture {
 protected:
  uvm::Result<uvm::Pin> pin(uvm::GpaRange range, uvm::PinAccess access = uvm::PinAccess::Write,
                            uvm::ForkPolicy policy = uvm::ForkPolicy::Copy) {
    return uvm::Pin::create(space, range, access, vfio, policy);
  }
  /// An object of `count` pages whose pager counts holds.
  std::shared_ptr<uvm::Object> kept_object(std::uint64_t count) {
    keeper = std::make_shared<KeepingPager>("file", count * kPage, 100);
    return uvm::Object::create(keeper);
  }
  void expect_nothing_pinned() {
    EXPECT_EQ(space.pin_statistics().pins, 0U);
    EXPECT_EQ(space.pin_statistics().bytes, 0U);
    EXPECT_EQ(vfio->pinned(), 0U);
    if (keeper != nullptr) {
      EXPECT_EQ(keeper->held(), 0U);
    }
  }

  std::shared_ptr<uvm::PinOwner> vfio = uvm::PinOwner::create("vfio0");
  std::shared_ptr<KeepingPager> keeper;
};

}  // namespace test
