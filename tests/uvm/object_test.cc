#include "uvm/object.h"

#include <gtest/gtest.h>

#include "tests/uvm/fixture.h"

namespace test {
namespace object_test {

using uvm::ErrorKind;
using uvm::ObjectOffset;
using uvm::PagerRequest;

/// A pager that breaks its contract.
class LyingPager : public FakePager {
 public:
  explicit LyingPager(std::uint64_t count) : FakePager("liar", 8 * kPage), count_(count) {}
  uvm::Result<uvm::FrameRun> get(const PagerRequest& /*request*/) override {
    return uvm::FrameRun{store().frame(0), count_};
  }

 private:
  std::uint64_t count_;
};

PagerRequest request(std::uint64_t first, std::uint64_t count) {
  return {ObjectOffset(first * kPage), count, uvm::AccessKind::Read};
}

TEST(ObjectTest, AnswersNeverReachPastTheEnd) {
  auto object = uvm::Object::create(std::make_shared<FakePager>("file", 2 * kPage + 1));
  const auto whole = object->get(request(0, 100));
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->run.count, 3U);
  EXPECT_EQ(whole->available, 3U);
  EXPECT_ERROR(object->get(request(3, 1)), ErrorKind::EndOfObject);
  EXPECT_ERROR(object->get({ObjectOffset(~std::uint64_t{0} << 12), 1, uvm::AccessKind::Read}),
               ErrorKind::EndOfObject);
}

TEST(ObjectTest, BrokenAnswersAreAnError) {
  EXPECT_ERROR(uvm::Object::create(std::make_shared<LyingPager>(0))->get(request(0, 4)), ErrorKind::PagerIo);
  EXPECT_ERROR(uvm::Object::create(std::make_shared<LyingPager>(5))->get(request(0, 4)), ErrorKind::PagerIo);
  EXPECT_OK(uvm::Object::create(std::make_shared<LyingPager>(4))->get(request(0, 4)));
}

TEST(ObjectTest, InvalidationMakesOlderFramesStale) {
  auto object = uvm::Object::create(std::make_shared<FakePager>("file", 8 * kPage));
  SimMmu mmu(kPage);
  const auto frames = object->get(request(0, 8));
  ASSERT_TRUE(frames);
  const uvm::Mapping mapping{pages(0, 8), frames->run.first, uvm::Fill::Exact, uvm::Protection::Read};
  EXPECT_EQ(object->enter(mmu, mapping, frames->generation).value(), uvm::Freshness::Current);
  object->invalidate(*uvm::ObjectRange::from_size(ObjectOffset(), kPage));
  mmu.remove(pages(0, 8));
  EXPECT_EQ(object->enter(mmu, mapping, frames->generation).value(), uvm::Freshness::Stale);
  EXPECT_EQ(mmu.ranges(), 0U);
}

TEST(ObjectTest, InvalidationReachesEveryPlaceAndNoOther) {
  auto object = uvm::Object::create(std::make_shared<FakePager>("file", 8 * kPage));
  SimArena arena;
  Guest a(arena, "a");
  Guest b(arena, "b");
  EXPECT_OK(a.space->map(over(pages(0, 8), object)));
  EXPECT_OK(a.space->map(over(pages(16, 4), object, uvm::Sharing::Shared, 4)));
  EXPECT_OK(b.space->map(over(pages(2, 2), object, uvm::Sharing::Shared, 5)));
  EXPECT_EQ(object->uses(), 3U);
  object->invalidate(*uvm::ObjectRange::from_size(ObjectOffset(5 * kPage), kPage));
  EXPECT_FALSE(a.mmu.extract(page(5)));
  EXPECT_FALSE(a.mmu.extract(page(17)));
  EXPECT_FALSE(b.mmu.extract(page(2)));
  EXPECT_TRUE(a.mmu.extract(page(4)));
  EXPECT_TRUE(a.mmu.extract(page(6)));
  EXPECT_TRUE(b.mmu.extract(page(3)));
  EXPECT_OK(a.space->unmap(pages(0, 32)));
  EXPECT_EQ(object->uses(), 1U);
}

TEST(ObjectTest, InvalidationReachesEverySpaceHoweverManyThereAre) {
  auto object = uvm::Object::create(std::make_shared<FakePager>("file", 8 * kPage));
  for (const std::size_t count : {std::size_t{16}, std::size_t{17}, std::size_t{40}}) {
    std::vector<std::unique_ptr<SimMmu>> mmus(count);
    std::vector<std::uint64_t> updates(count);
    for (std::size_t i = 0; i < count; ++i) {
      mmus[i] = std::make_unique<SimMmu>(kPage);
      object->add_use({mmus[i].get(), pages(0, 8), ObjectOffset()});
      object->add_use({mmus[i].get(), pages(8, 8), ObjectOffset()});
      EXPECT_OK(mmus[i]->enter({pages(0, 1), std::nullopt, uvm::Fill::Zero, uvm::Protection::All}));
      mmus[i]->before_update([&updates, i] { ++updates[i]; });
    }
    object->invalidate(*uvm::ObjectRange::from_size(ObjectOffset(), 8 * kPage));
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_FALSE(mmus[i]->extract(page(0))) << i;
      EXPECT_EQ(updates[i], 1U) << i;
      object->remove_use({mmus[i].get(), pages(0, 8), ObjectOffset()});
      object->remove_use({mmus[i].get(), pages(8, 8), ObjectOffset()});
    }
  }
}

}  // namespace object_test
}  // namespace test
