// Private pages that a space begins with and that are made when somebody comes near.
#include "ept/deferred_pages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <thread>

#include "tests/ept/ept_support.h"
#include "uvm/access.h"
#include "uvm/pin.h"
#include "uvm/space.h"

namespace ept {
namespace deferred_pages_test {

using namespace test;
using uvm::Access;
using Pages = std::vector<DeferredPages::Page>;

constexpr std::uint64_t kAll = 64;

/// What the deferred page from `source` holds; no page of the base has it.
std::byte changed(std::uint64_t source) {
  return static_cast<std::byte>(200 + source);
}

std::shared_ptr<host::RamObject> make_source(std::uint64_t count) {
  std::shared_ptr<host::RamObject> object = make_object(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    EXPECT_OK(object->write(i, 0, std::vector<std::byte>(kPage, changed(i))));
  }
  return object;
}

TEST(DeferredSet, KnowsItsPagesByRange) {
  DeferredSet set;
  EXPECT_TRUE(set.empty());
  const auto source = *DeferredSource::map(make_source(4));
  set.add({pages(0, 8),
           nullptr,
           0,
           {source},
           {{1, source.get(), 0}, {2, source.get(), 1}, {6, source.get(), 2}}});
  set.add({pages(16, 8), nullptr, 0, {source}, {{20, source.get(), 3}}});
  EXPECT_EQ(set.runs(pages(0, 64)), (std::vector{pages(1, 2), pages(6, 1), pages(20, 1)}));
  EXPECT_EQ(set.runs(pages(2, 5)), (std::vector{pages(2, 1), pages(6, 1)}));
  EXPECT_TRUE(set.contains(page(20)));
  EXPECT_FALSE(set.contains(page(21)));
  EXPECT_FALSE(set.contains(page(9)));
  EXPECT_EQ(set.bytes_of(page(6))->front(), changed(2));
  EXPECT_FALSE(set.bytes_of(page(7)));
  EXPECT_EQ(set.first_in(pages(8, 8)), nullptr);
  EXPECT_EQ(set.first_in(pages(7, 20))->range, pages(0, 8));
  EXPECT_EQ(set.first_in(pages(8, 20))->range, pages(16, 8));
}

TEST(DeferredSet, KeepsWhatCanBeEnteredApart) {
  DeferredSet set;
  const auto source = *DeferredSource::map(make_source(2));
  set.add({pages(8, 8), nullptr, 0, {source}, {{9, source.get(), 0}}});
  set.add({pages(32, 8), nullptr, 0, {source}, {{33, source.get(), 1}}});
  EXPECT_EQ(set.around(page(3), pages(0, 64)), pages(0, 8));
  EXPECT_EQ(set.around(page(15), pages(0, 64)), pages(8, 8));
  EXPECT_EQ(set.around(page(15), pages(12, 64)), pages(12, 4));
  EXPECT_EQ(set.around(page(20), pages(0, 64)), pages(16, 16));
  EXPECT_EQ(set.around(page(50), pages(0, 64)), pages(40, 24));
}

TEST(DeferredSet, ForgetsPagesAndRangesWithoutAny) {
  DeferredSet set;
  const auto source = *DeferredSource::map(make_source(3));
  set.add({pages(0, 8),
           nullptr,
           0,
           {source},
           {{1, source.get(), 0}, {2, source.get(), 1}, {3, source.get(), 2}}});
  set.forget(pages(2, 1));
  EXPECT_EQ(set.runs(pages(0, 8)), (std::vector{pages(1, 1), pages(3, 1)}));
  EXPECT_EQ(set.bytes_of(page(3))->front(), changed(2));
  set.forget(pages(0, 2));
  EXPECT_FALSE(set.empty());
  set.forget(pages(3, 60));
  EXPECT_TRUE(set.empty());
}

/// Two blocks of eight pages with three deferred ones each, over a private mapping of 64 pages.
class Deferred : public testing::Test {
 protected:
  static constexpr std::array<std::uint64_t, 6> kChanged = {9, 10, 13, 40, 43, 47};

  void SetUp() override {
    REQUIRE_EVENTS(pmap_);
    const auto source = *DeferredSource::map(make_source(6));
    ASSERT_OK(pmap_->defer({pages(8, 8),
                            base_,
                            8,
                            {source},
                            {{9, source.get(), 0}, {10, source.get(), 1}, {13, source.get(), 2}}}));
    ASSERT_OK(pmap_->defer({pages(40, 8),
                            base_,
                            40,
                            {source},
                            {{40, source.get(), 3}, {43, source.get(), 4}, {47, source.get(), 5}}}));
    uvm::MapRequest request;
    request.range = pages(0, kAll);
    request.object = uvm::Object::create(base_);
    request.sharing = uvm::Sharing::Private;
    request.name = "ram";
    ASSERT_OK(space_->map(request));
  }

  static std::byte wanted(std::uint64_t number) {
    const auto at = std::ranges::find(kChanged, number);
    return at == kChanged.end() ? pattern_of(number)
                                : changed(static_cast<std::uint64_t>(at - kChanged.begin()));
  }
  static std::vector<uvm::GpaRange> all_runs() {
    return {pages(9, 2), pages(13, 1), pages(40, 1), pages(43, 1), pages(47, 1)};
  }
  void expect_all() {
    Handler handler(
        *pmap_, [&](const StageTwoEvent& event) { EXPECT_OK(space_->fault(event.address, event.access)); });
    for (std::uint64_t i = 0; i < kAll; ++i) EXPECT_EQ(load(*pmap_, i), wanted(i)) << "page " << i;
  }
  [[nodiscard]] std::uint64_t made(uvm::GpaRange range) { return pmap_->residency(range).priv / kPage; }

  std::shared_ptr<host::RamObject> base_ = make_object(kAll);
  std::unique_ptr<Pmap> pmap_ = make_pmap(pages(0, kAll));
  std::unique_ptr<uvm::Space> space_ = *uvm::Space::create("copy", *pmap_, pages(0, kAll));
};

TEST_F(Deferred, AreThereForAGuest) {
  expect_all();
  EXPECT_EQ(made(pages(0, kAll)), 6U) << "what was not changed is not copied";
  EXPECT_EQ(harvested(*pmap_, pages(0, kAll)), all_runs());
}

TEST_F(Deferred, AreMadeBlockByBlock) {
  EXPECT_EQ(made(pages(0, kAll)), 0U) << "mapping makes none";
  ASSERT_OK(space_->fault(page(30), uvm::AccessKind::Read));
  EXPECT_EQ(made(pages(0, kAll)), 0U) << "nor does what lies between";
  ASSERT_OK(space_->fault(page(12), uvm::AccessKind::Read));
  EXPECT_EQ(made(pages(0, kAll)), 3U);
  EXPECT_EQ(load(*pmap_, 13), changed(2));
  expect_all();
}

TEST_F(Deferred, ArePrivateBeforeTheyAreMade) {
  EXPECT_EQ(harvested(*pmap_, pages(0, kAll)), all_runs());
  EXPECT_TRUE(pmap_->harvest_page(page(47)));
  EXPECT_FALSE(pmap_->harvest_page(page(46)));
  std::vector<std::byte> bytes(2 * kPage);
  ASSERT_OK(pmap_->read_private(page(9), bytes));
  EXPECT_EQ(bytes.front(), changed(0));
  EXPECT_EQ(bytes.back(), changed(1));
  EXPECT_EQ(made(pages(0, kAll)), 0U);
}

TEST_F(Deferred, AreReadAndWrittenByTheMonitor) {
  std::array<std::byte, 2> two{};
  ASSERT_OK(Access::read(*space_, page(11) - 1, two, uvm::kDebugger));
  EXPECT_EQ(two[0], changed(1));
  EXPECT_EQ(two[1], pattern_of(11));
  ASSERT_OK(Access::write(*space_, page(43) + 7, std::vector(1, std::byte{'w'}), uvm::kDebugger));
  expect_all();
  EXPECT_EQ(pmap_->bytes(pages(43, 1))[7], std::byte{'w'});
  EXPECT_EQ(stored_byte(*base_, 43), pattern_of(43)) << "the base is never written";
}

TEST_F(Deferred, AreRewrittenWhereTheyAre) {
  std::vector<uvm::GpaRange> runs;
  ASSERT_OK(pmap_->rewrite_private(pages(0, kAll), [&](uvm::GpaRange run, std::span<std::byte> bytes) {
    runs.push_back(run);
    EXPECT_EQ(bytes.front(), wanted(run.begin().page()));
    return uvm::ok();
  }));
  EXPECT_EQ(runs, all_runs());
  expect_all();
}

TEST_F(Deferred, AreMadeWhenAsked) {
  ASSERT_OK(pmap_->compose(pages(0, kAll)));
  EXPECT_EQ(harvested(*pmap_, pages(0, kAll)), all_runs());
  expect_all();
}

TEST_F(Deferred, GoWithWhatIsDiscarded) {
  ASSERT_OK(space_->unmap(pages(10, 1)));
  EXPECT_EQ(harvested(*pmap_, pages(8, 8)), (std::vector{pages(9, 1), pages(13, 1)}));
  ASSERT_OK(space_->unmap(pages(40, 8)));
  EXPECT_TRUE(harvested(*pmap_, pages(40, 8)).empty());
  uvm::MapRequest request;
  request.range = pages(10, 1);
  request.sharing = uvm::Sharing::Private;
  request.name = "hole";
  ASSERT_OK(space_->map(request));
  Handler handler(*pmap_,
                  [&](const StageTwoEvent& event) { EXPECT_OK(space_->fault(event.address, event.access)); });
  EXPECT_EQ(load(*pmap_, 9), changed(0));
  EXPECT_EQ(load(*pmap_, 10), std::byte{0});
  EXPECT_EQ(load(*pmap_, 13), changed(2));
}

TEST_F(Deferred, ComeBackWhenTheirTranslationWent) {
  ASSERT_OK(space_->fault(page(9), uvm::AccessKind::Read));
  store(*pmap_, 13, std::byte{'n'});
  pmap_->remove(pages(0, kAll));
  Handler handler(*pmap_,
                  [&](const StageTwoEvent& event) { EXPECT_OK(space_->fault(event.address, event.access)); });
  EXPECT_EQ(load(*pmap_, 13), std::byte{'n'}) << "what was written since";
  EXPECT_EQ(load(*pmap_, 10), changed(1));
  EXPECT_EQ(load(*pmap_, 11), pattern_of(11));
}

TEST_F(Deferred, ArePinned) {
  const auto pin =
      uvm::Pin::create(*space_, pages(43, 5), uvm::PinAccess::Write, uvm::PinOwner::create("disk"));
  ASSERT_OK(pin);
  EXPECT_EQ(harvested(*pmap_, pages(43, 5)), std::vector{pages(43, 5)});
  expect_all();
}

TEST_F(Deferred, AreNotSeenHalfMade) {
  Handler handler(*pmap_,
                  [&](const StageTwoEvent& event) { EXPECT_OK(space_->fault(event.address, event.access)); });
  std::atomic<int> wrong = 0;
  std::vector<std::thread> guests;
  for (int guest = 0; guest < 4; ++guest) {
    guests.emplace_back([&, guest] {
      for (std::uint64_t i = 0; i < kAll; ++i) {
        const std::uint64_t number = (i * 7 + static_cast<std::uint64_t>(guest) * 13) % kAll;
        if (load(*pmap_, number) != wanted(number)) ++wrong;
      }
    });
  }
  for (std::thread& guest : guests) guest.join();
  EXPECT_EQ(wrong, 0);
}

TEST(DeferredPages, RefusesPagesOutsideOfTheirRange) {
  const auto pmap = make_pmap(pages(0, 16));
  const auto source = *DeferredSource::map(make_source(1));
  const std::shared_ptr<host::Backing> base = make_object(16);
  EXPECT_EQ(kind_of(pmap->defer({pages(0, 4), base, 0, {source}, {{4, source.get(), 0}}})),
            uvm::ErrorKind::Invalid);
  EXPECT_EQ(kind_of(pmap->defer({pages(8, 16), base, 0, {source}, {{8, source.get(), 0}}})),
            uvm::ErrorKind::Invalid);
}

TEST(DeferredPages, StayWhereThereIsNoRoomToMakeThem) {
  const auto pmap = make_pmap(pages(0, 16), Events::WhenPossible, {host::HugePages::Never, 3});
  const auto source = *DeferredSource::map(make_source(1));
  const std::shared_ptr<host::Backing> base = make_object(16);
  ASSERT_OK(pmap->defer({pages(0, 4), base, 0, {source}, {{1, source.get(), 0}}}));
  EXPECT_EQ(kind_of(pmap->compose(pages(0, 16))), uvm::ErrorKind::NoMemory);
  EXPECT_EQ(harvested(*pmap, pages(0, 16)), std::vector{pages(1, 1)});
  std::vector<std::byte> bytes(kPage);
  ASSERT_OK(pmap->read_private(page(1), bytes));
  EXPECT_EQ(bytes.front(), changed(0));
}

}  // namespace deferred_pages_test
}  // namespace ept
